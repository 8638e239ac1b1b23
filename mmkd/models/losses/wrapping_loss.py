"""What losses share that have another loss inside."""

from contextlib import AbstractContextManager
from typing import Optional

from torch import Tensor

from .base import DistillLoss
from .build import build_inside

#: What a loss says of itself and the loss around it says, too.
INHERITED = (
    'needs',
    'over_batch',
    'compares_pairs',
    'synchronises',
    'of_classes',
    'least_columns',
    'adapts',
    'pairs_levels',
    'sum_levels',
)


class WrappingLoss(DistillLoss):
    """A loss around another, of which it has everything that it does not say itself.

    Args:
        loss (dict, optional): Type and arguments of the loss inside.
        default (dict): What to build in place of None.

    Raises:
        ConfigError: The loss inside cannot be built.
    """

    def __init__(self, loss: Optional[dict], default: dict) -> None:
        super().__init__()
        self.loss = build_inside(type(self).__name__, loss, default)
        for name in INHERITED:
            setattr(self, name, getattr(self.loss, name))

    def see_training_set(self, labels: Tensor) -> None:
        """Tell the loss inside."""
        self.loss.see_training_set(labels)

    def around(self, student, teacher, adapters) -> AbstractContextManager:
        """Return what the loss inside opens."""
        return self.loss.around(student, teacher, adapters)
