"""What logit losses share that read the true class of each sample."""

from typing import Optional

import torch
from torch import Tensor

from mmkd.errors import ConfigError

from .base import DistillLoss
from .checks import one_of


def target_mask(target: Tensor, num_classes: int) -> Tensor:
    """Return ``(N, K)`` booleans, true at the class ``(N,)`` of each sample.

    Unlike ``F.one_hot`` it reads no value on any device.
    """
    return target[:, None] == torch.arange(num_classes, device=target.device)


def check_soft_targets(owner: str, soft_targets: str) -> tuple:
    """Return what a loss needs, of the value of its argument ``soft_targets``.

    Raises:
        ConfigError: It is neither ``'error'`` nor ``'argmax'``.
    """
    one_of(owner, 'soft_targets', soft_targets, ('error', 'argmax'))
    return ('soft_labels',) if soft_targets == 'argmax' else ('labels',)


def hard_labels(loss: DistillLoss, target: Optional[Tensor]) -> Tensor:
    """Return the class ``(N,)`` of each sample.

    Args:
        loss (DistillLoss): Whose labels; whether it takes soft ones is in its needs.
        target (Tensor | None): Labels ``(N,)`` or soft labels ``(N, K)``.

    Raises:
        ConfigError: There are none, or soft ones that are not allowed.
    """
    if target is not None and target.dim() == 2 and 'soft_labels' in loss.needs:
        target = target.argmax(dim=1)
    if target is None or target.dim() != 1:
        got = 'none' if target is None else f'shape {tuple(target.shape)}'
        raise ConfigError(
            f'{type(loss).__name__} needs one label a sample, shape (N,), got '
            f"{got}; for mixed labels set soft_targets='argmax', or use KDLoss or "
            'LumiNetLoss.'
        )
    return target


class LabelledLoss(DistillLoss):
    """A logit loss that needs one true class a sample.

    With the soft labels of Mixup or CutMix it is an error unless
    ``soft_targets='argmax'`` says that the dominant class is meant.

    Args:
        soft_targets (str): ``'error'`` or ``'argmax'``. Defaults to ``'error'``.
    """

    needs = ('labels',)
    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(self, soft_targets: str = 'error') -> None:
        super().__init__()
        self.needs = check_soft_targets(type(self).__name__, soft_targets)

    def classes(self, target: Optional[Tensor]) -> Tensor:
        """Return the class ``(N,)`` of each sample, see :func:`hard_labels`."""
        return hard_labels(self, target)
