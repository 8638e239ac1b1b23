"""The four nouns: Tap, Pairing, Loss, Distiller."""

from typing import TYPE_CHECKING

from mmkd.lazy import lazy_attributes

if TYPE_CHECKING:
    from . import adapters, backbones, losses, pairings
    from .crop_flip_preprocessor import CropFlipPreprocessor
    from .distiller import Distiller
    from .losses import DistillLoss
    from .schedule import Schedule
    from .weak_strong_preprocessor import WeakStrongPreprocessor

__all__ = [
    'CropFlipPreprocessor',
    'DistillLoss',
    'Distiller',
    'Schedule',
    'WeakStrongPreprocessor',
    'adapters',
    'backbones',
    'losses',
    'pairings',
]

# A loss alone needs neither mmdet nor mmpretrain, so neither may this package.
__getattr__, __dir__ = lazy_attributes(
    __name__,
    'adapters',
    'backbones',
    'losses',
    'pairings',
    CropFlipPreprocessor='mmkd.models.crop_flip_preprocessor',
    DistillLoss='mmkd.models.losses',
    Distiller='mmkd.models.distiller',
    Schedule='mmkd.models.schedule',
    WeakStrongPreprocessor='mmkd.models.weak_strong_preprocessor',
)
