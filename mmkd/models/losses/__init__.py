"""Distillation losses: a plain function and a thin registered class a file."""

from .base import DistillLoss
from .dkd_loss import DKDLoss
from .feature_mse_loss import FeatureMSELoss
from .kd_loss import KDLoss
from .luminet_loss import LumiNetLoss

__all__ = ['DKDLoss', 'DistillLoss', 'FeatureMSELoss', 'KDLoss', 'LumiNetLoss']
