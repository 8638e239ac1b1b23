"""A gradient that climbs where all others descend, for CTKD."""

import torch
from torch import Tensor


class ReverseGradient(torch.autograd.Function):
    """The identity; backward, the gradient times ``-strength``."""

    @staticmethod
    def forward(ctx, value: Tensor, strength: float) -> Tensor:
        """Return ``value``."""
        ctx.strength = strength
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple:
        """Return the reversed gradient; ``strength`` has none."""
        return -ctx.strength * gradient, None
