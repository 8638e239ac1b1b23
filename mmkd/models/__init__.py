"""The four nouns: Tap, Pairing, Loss, Distiller."""

from .adapters import ConvAdapter, LinearAdapter
from .distiller import Distiller
from .losses import DistillLoss, DKDLoss, FeatureMSELoss, KDLoss, LumiNetLoss
from .schedule import Schedule

__all__ = [
    'ConvAdapter',
    'DKDLoss',
    'DistillLoss',
    'Distiller',
    'FeatureMSELoss',
    'KDLoss',
    'LinearAdapter',
    'LumiNetLoss',
    'Schedule',
]
