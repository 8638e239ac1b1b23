"""Finding, in the first step, a comparison from which the student cannot learn."""

from typing import Optional, Sequence, Set

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.errors import ConfigError

from .taps import Taps
from .term import Term


class GradientCheck:
    """Sees that what each term compares of the student carries a gradient.

    Without one the logged loss may fall all the same: adapters and the loss's own
    layers learn, and the student does not.
    """

    def __init__(self) -> None:
        self._known: Set[str] = set()

    def see(self, term: Term, student: Taps, compared: Sequence[Tensor]) -> None:
        """Look at a term in its first step in training; nothing waits for the device.

        Args:
            term (Term): It, live in this step.
            student (Taps): What was recorded of the student.
            compared (Sequence[Tensor]): What is compared of it, before adapters.

        Raises:
            ConfigError: None of it carries a gradient.
        """
        learns = student.model.training and torch.is_grad_enabled()
        if term.name in self._known or not learns:
            return
        lacking = [not tensor.requires_grad for tensor in compared]
        # Without rows nothing is told: a stage of a cascade may not have run.
        if all(lacking) and not any(tensor.numel() for tensor in compared):
            return
        self._known.add(term.name)
        paths = term.pairing.student_outputs
        where = f'{term.name} ({type(term.loss).__name__} on {term.pairing.describe()})'
        if all(lacking):
            raise ConfigError(
                f'{where}: the student learns nothing from this loss, since '
                f'{_reason(student, paths)}.'
            )
        lacking = [
            level
            for level, tensor in enumerate(compared)
            if lacking[level] and tensor.numel()
        ]
        if lacking:
            names = paths if len(paths) == len(compared) else None
            print_log(
                f'{where}: the student learns from {len(compared) - len(lacking)} of '
                f'{len(compared)} levels alone; without a gradient (frozen, or run so) '
                f'{_named(lacking, names)}, counted from 0.',
                logger='current',
            )


def _named(levels: Sequence[int], names: Optional[Sequence[str]]) -> str:
    shown = (f'{i} ({names[i]})' if names else f'{i}' for i in levels)
    return f'{"is level" if len(levels) == 1 else "are levels"} {", ".join(shown)}'


def _reason(student: Taps, paths: Sequence[str]) -> str:
    """Say why no output of some modules carries a gradient, and what to do."""
    model, modules = student.model, ', '.join(paths)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return 'no parameter of it is trained at all; unfreeze some'
    calls = [call for path in paths for call in student[path].calls]
    if not all(call.gradients for call in calls):
        return (
            f'{modules} ran under torch.no_grad, as a block does that computes its '
            'activations again (with_cp, activation_checkpointing), or a head that is '
            'asked for samples; compare the module around it, or switch that off'
        )
    if not any(_learns_up_to(model, path) for path in paths):
        return (
            f'{modules} and all in front of it are frozen (frozen_stages, or '
            'requires_grad=False); compare a later module, or unfreeze one of these'
        )
    return (
        f'no gradient reaches what {modules} put out, though layers up to there are '
        'trained: it is cut off on the way (detach, or torch.no_grad in a forward '
        'method); compare a module before that'
    )


def _learns_up_to(model: nn.Module, path: str) -> bool:
    """Whether a parameter of a module is trained, or of one that is listed before."""
    reached = False
    for name, module in model.named_modules():
        inside = f'{name}.'.startswith(f'{path}.')
        if reached and not inside:
            return False
        reached |= inside
        if any(parameter.requires_grad for parameter in module.parameters(False)):
            return True
    return False
