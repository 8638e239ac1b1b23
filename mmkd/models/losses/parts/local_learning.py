"""Parts of the student that learn on their own, one after another."""

from typing import Callable, Dict, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

from ..numerics import full_precision

#: Factor of the gradients on their way through a part. A power of two, so that nothing
#: is rounded; it keeps those of float16 activations from vanishing.
SCALE = 4096.0


class LocalLearning:
    """Ends the gradient behind modules of the student, and lets each part learn.

    Open inside a ``with`` block around the student's forward pass, after the taps. What
    such a module puts out is handed on detached: every value stays, bit for bit, but
    what comes after does not train what came before. As nobody waits for a gradient
    from above, each part takes that of its own loss at once, and its activations are
    freed before the next part begins: together the parts need the memory of the
    largest. They are kept where another loss has recorded something before. Nothing may
    go round a cut, such as a shortcut or an earlier stage's map that a neck takes, nor
    may a part recompute its activations (``with_cp``): torch then ends in the backward
    pass.

    Args:
        cuts (Sequence[str]): Modules to end the gradient behind, among ``outputs``.
        outputs (Sequence[str]): The student's modules that are compared, in order.
        part (Callable): Takes a level and its tensor; returns the level's loss.
        own (Sequence[nn.Parameter]): What learns beside the student.
        student (Taps): What is being recorded of the student.
        where (str): Begins error messages.

    Raises:
        ConfigError: The student calls modules in another order than ``outputs``.
    """

    def __init__(
        self,
        cuts: Sequence[str],
        outputs: Sequence[str],
        part: Callable[[int, Tensor], Tensor],
        own: Sequence[nn.Parameter],
        student,
        where: str,
    ) -> None:
        self._cuts = cuts
        self._outputs = list(outputs)
        self._part = part
        self._student = student
        self._where = where
        self._handles: list = []
        self._trained = []
        if cuts:
            trained = (p for p in student.model.parameters() if p.requires_grad)
            self._trained = [*trained, *own]
        #: The losses of the parts that have learned, by level: values whose gradient is
        #: known.
        self.known: Dict[int, Tensor] = {}

    def __enter__(self) -> 'LocalLearning':
        for path in self._cuts:
            module = self._student[path].module
            self._handles.append(module.register_forward_hook(self._end(path)))
        return self

    def __exit__(self, *exc_info) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _end(self, path) -> Callable:
        def end_here(module, args, output):
            if torch.is_grad_enabled():
                self._learn(path)
            return detached(output)

        return end_here

    def _learn(self, path):
        last = self._outputs.index(path)
        for later in self._outputs[last + 1 :]:
            if self._student[later].calls:
                raise ConfigError(
                    f'{self._where}: on= names {later!r} after {path!r}, but the '
                    'student does not call it after; list the modules in the order in '
                    'which it does, each once.'
                )
        levels = [level for level in range(last + 1) if level not in self.known]
        value = sum(self._value(level) for level in levels)
        if not value.requires_grad:
            return
        # As an ordinary backward pass, which is outside of autocast.
        with full_precision(value.device):
            gradients = torch.autograd.grad(
                value,
                self._trained,
                torch.full_like(value, SCALE),
                retain_graph=self._student.others_read(self._outputs),
                allow_unused=True,
            )
        pairs = zip(self._trained, gradients)
        # Divided here: a CUDA graph would write over its own gradients.
        known = [(p, g / SCALE) for p, g in pairs if g is not None]
        self.known.update(dict.fromkeys(levels, value.new_zeros(())))
        self.known[last] = Known.apply(value.detach(), *sum(known, ()))

    def _value(self, level):
        return self._part(level, self._student[self._outputs[level]].outputs()[0])


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
        gradients = []
        for gradient in ctx.saved_tensors:
            gradients += [gradient * factor, None]
        return None, *gradients


def detached(value):
    """Return tensors, or containers of them, without their graph."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: detached(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(detached, value))
    return value
