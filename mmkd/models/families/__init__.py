"""How each kind of network is run in parts, a file a kind.

To run another kind, register a :class:`Family` in a file of its own, in this folder or
outside of the package; nothing else has to know of it.
"""

from torch import nn

from mmkd.construct import import_all
from mmkd.errors import explained
from mmkd.registry import FAMILIES

from .base import Family
from .run import Run, tried

__all__ = ['Family', 'Run', 'family_of', 'tried']

import_all(__name__, __path__)


def family_of(model: nn.Module) -> Family:
    """Return how a model is run: the last registered family that it fits."""
    kinds = reversed(list(FAMILIES.module_dict.values()))
    return next(kind() for kind in kinds if _fits(kind, model))


def _fits(kind, model):
    with explained(
        f'{kind.__name__}.fits cannot tell whether it runs a {type(model).__name__}',
        'let it return True or False of any network',
    ):
        return kind.fits(model)
