"""How each kind of network is run in parts, a file a kind.

To run another kind, register a :class:`Family` in a file of its own, here or outside
of the package; nothing else has to know of it.
"""

from torch import nn

from mmkd.registry import FAMILIES

from .base import Family
from .classifier import Classifier
from .dense import Dense
from .run import Run
from .two_stage import TwoStage
from .whole import Whole

__all__ = ['Classifier', 'Dense', 'Family', 'Run', 'TwoStage', 'Whole', 'family_of']


def family_of(model: nn.Module) -> Family:
    """Return how a model is run: the last registered family that it fits."""
    kinds = reversed(list(FAMILIES.module_dict.values()))
    return next(kind() for kind in kinds if kind.fits(model))
