"""The four nouns: Tap, Pairing, Loss, Distiller."""

from . import adapters, backbones, losses
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
]
