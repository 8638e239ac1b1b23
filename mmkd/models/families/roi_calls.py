"""Which recorded calls of a student's RoI head its losses train on."""

from typing import List, Optional

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

from ..taps import Call, Taps


def stage_paths(model: nn.Module, part: str) -> List[str]:
    """Name a part of the RoI head, such as ``'bbox_head'``, of each stage."""
    path = f'roi_head.{part}'
    module = model.get_submodule(path)
    if isinstance(module, nn.ModuleList):
        return [f'{path}.{stage}' for stage in range(len(module))]
    return [path]


def head_call(taps: Taps, head: str) -> Optional[Call]:
    """Return a head's call in this step.

    None stands for a stage that did not run: a cascade ends early when no proposal is
    left.

    Raises:
        ConfigError: There are several, of which none is known to train.
    """
    calls = taps[head].calls
    if len(calls) > 1:
        raise ConfigError(
            f'the student called {head!r} {len(calls)} times in this step, and which '
            'of these its loss is about is unknown; where a sampler (OHEM, PISA) asks '
            'the head first, compute the losses with gradients, else compare modules '
            'in front of the RoI head, such as the neck.'
        )
    return calls[0] if calls else None


def loss_call(taps: Taps, loss: str, predicted: Tensor) -> Optional[list]:
    """Return what the loss of a head was called with for what the head put out.

    Other calls, of a part of the rows or of those that a sampler tried, are left out.

    Args:
        taps (Taps): What the student recorded.
        loss (str): Name of the loss module.
        predicted (Tensor): The head's output ``(R, ...)``.

    Returns:
        list | None: The arguments; None where there are no rows, of which mmdet
        computes no loss.

    Raises:
        ConfigError: There was no such call.
    """
    if not len(predicted):
        return None
    called = [[*call.args, *call.kwargs.values()] for call in taps[loss].calls]
    same = [arguments for arguments in called if arguments[0] is predicted]
    # A head may have cast them in between.
    alike = [a for a in called if len(a) > 1 and len(a[0]) == len(predicted)]
    found = same or alike
    if not found or len(found[-1][1]) != len(predicted):
        raise ConfigError(
            f'the student did not call {loss!r} with all {len(predicted)} predictions '
            'of its head and a label for each, so that which label belongs to which is '
            'unknown; compare modules in front of the RoI head, such as the neck.'
        )
    return found[-1]


def labels_of(taps: Taps, head: str) -> Optional[Tensor]:
    """Return the labels ``(R,)`` on which a box head was trained, K for background.

    None stands for a stage that did not run.
    """
    call = head_call(taps, head)
    if call is None:
        return None
    logits = call.output[0]
    arguments = loss_call(taps, f'{head}.loss_cls', logits)
    if arguments is None:
        return logits.new_zeros(0, dtype=torch.long)
    return arguments[1]
