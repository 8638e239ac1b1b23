"""Parts of the student that learn on their own, one after another."""

from typing import Callable, Dict, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

from .losses.base import full_precision
from .taps import Taps, find_module
from .teacher_pass import TeacherPass
from .term import Term

#: Factor of the gradients on their way through a part. A power of two, so that nothing
#: is rounded; it keeps those of float16 activations from vanishing.
SCALE = 4096.0


class Cuts:
    """Ends the gradient behind the student's modules that terms name in ``cuts``.

    Open inside a ``with`` block, after the taps. What such a module puts out is handed
    on detached: every value stays, bit for bit, but what comes after does not train
    what came before. As nobody waits for a gradient from above, each part takes that of
    its own loss at once, and its activations are freed before the next part begins:
    together the parts need the memory of the largest. They are kept where another term
    has recorded something before. Nothing may go round a cut, such as a shortcut or an
    earlier stage's map that a neck takes, nor may a part recompute its activations
    (``with_cp``): torch then ends in the backward pass.

    Args:
        student (nn.Module): The student.
        terms (Sequence[Term]): Those of this step.
        taps (Taps): What they record of the student.
        passes (dict[str, TeacherPass]): The teachers', begun.

    Raises:
        ConfigError: The student calls modules in another order than ``on=`` names them.
    """

    def __init__(
        self,
        student: nn.Module,
        terms: Sequence[Term],
        taps: Taps,
        passes: Dict[str, TeacherPass],
    ) -> None:
        self._student = student
        self._terms = terms
        self._taps = taps
        self._passes = passes
        self._handles: list = []
        self._paths = list(dict.fromkeys(path for term in terms for path in term.cuts))
        self._trained = []
        if self._paths:
            self._trained = [p for p in student.parameters() if p.requires_grad]
        #: The losses of the parts that have learned, by term and level: values whose
        #: gradient is known.
        self.given: Dict[str, Dict[int, Tensor]] = {term.name: {} for term in terms}

    def __enter__(self) -> 'Cuts':
        for path in self._paths:
            module = find_module(self._student, path, 'student')
            self._handles.append(module.register_forward_hook(self._end(path)))
        return self

    def __exit__(self, *exc_info) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _end(self, path) -> Callable:
        def end_here(module, args, output):
            for term in self._terms:
                if path in term.cuts and torch.is_grad_enabled():
                    self._learn(term, path)
            return detached(output)

        return end_here

    def _learn(self, term, path):
        given = self.given[term.name]
        paths = list(term.pairing.student_outputs)
        last = paths.index(path)
        for later in paths[last + 1 :]:
            if self._taps[later].calls:
                raise ConfigError(
                    f'{term.name}: on= names {later!r} after {path!r}, but the student '
                    'does not call it after; list the modules in the order in which '
                    'it does, each once.'
                )
        levels = [level for level in range(last + 1) if level not in given]
        value = sum(self._value(term, level) for level in levels)
        if not value.requires_grad:
            return
        mine = [*self._trained, *term.parameters()]
        # As an ordinary backward pass, which is outside of autocast.
        with full_precision(value.device):
            gradients = torch.autograd.grad(
                value,
                mine,
                torch.full_like(value, SCALE),
                retain_graph=self._is_needed_by_others(term),
                allow_unused=True,
            )
        # Divided here: a CUDA graph would write over its own gradients.
        known = [(p, g / SCALE) for p, g in zip(mine, gradients) if g is not None]
        given.update(dict.fromkeys(levels, value.new_zeros(())))
        given[last] = Known.apply(value.detach(), *sum(known, ()))

    def _value(self, term, level):
        teacher = self._passes[term.teacher].taps
        ours = self._taps[term.pairing.student_outputs[level]].outputs()[0]
        theirs = teacher[term.pairing.teacher_outputs[level]].outputs()[0]
        return term.part(level, ours, theirs)

    def _is_needed_by_others(self, term):
        others = (other for other in self._terms if other is not term)
        names = (name for other in others for name in other.pairing.student_outputs)
        return any(self._taps[name].calls for name in names)


class Known(torch.autograd.Function):
    """A value, and its gradient with respect to each of some parameters."""

    @staticmethod
    def forward(ctx, value: Tensor, *pairs: Tensor) -> Tensor:
        """Return ``value``; ``pairs`` alternate parameters and their gradients."""
        ctx.save_for_backward(*pairs[1::2])
        return value.clone()

    @staticmethod
    def backward(ctx, factor: Tensor) -> tuple:
        """Return the gradients, times what the value was multiplied by."""
        found = []
        for gradient in ctx.saved_tensors:
            found += [gradient * factor, None]
        return None, *found


def detached(value):
    """Return tensors, or containers of them, without their graph."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: detached(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(detached, value))
    return value
