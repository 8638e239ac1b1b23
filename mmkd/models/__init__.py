"""The four nouns: Tap, Pairing, Loss, Distiller."""

from . import backbones
from .adapters import ConvAdapter, LinearAdapter
from .crop_flip_preprocessor import CropFlipPreprocessor
from .distiller import Distiller
from .losses import DistillLoss, DKDLoss, FeatureMSELoss, KDLoss, LumiNetLoss
from .schedule import Schedule

__all__ = [
    'ConvAdapter',
    'CropFlipPreprocessor',
    'DKDLoss',
    'DistillLoss',
    'Distiller',
    'FeatureMSELoss',
    'KDLoss',
    'LinearAdapter',
    'LumiNetLoss',
    'Schedule',
    'backbones',
]
