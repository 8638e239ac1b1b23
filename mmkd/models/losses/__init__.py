"""Distillation losses: a plain function and a thin registered class a file."""

from .aekt_loss import AEKTLoss
from .at_loss import ATLoss
from .base import DistillLoss
from .crd_loss import CRDLoss
from .ctkd_loss import CTKDLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .fgd_loss import FGDLoss
from .fitnet_loss import FitNetLoss
from .kd_loss import KDLoss
from .lakd_loss import LAKDLoss
from .lskd_loss import LSKDLoss
from .luminet_loss import LumiNetLoss
from .mgd_loss import MGDLoss
from .mlkd_loss import MLKDLoss
from .nkd_loss import NKDLoss
from .nst_loss import NSTLoss
from .ofa_loss import OFALoss
from .ofd_loss import OFDLoss
from .pkd_loss import PKDLoss
from .pkt_loss import PKTLoss
from .review_kd_loss import ReviewKDLoss
from .rkd_loss import RKDLoss
from .sdd_loss import SDDLoss
from .sp_loss import SPLoss
from .srrl_loss import SRRLLoss
from .unikd_loss import UniKDLoss
from .wsld_loss import WSLDLoss
from .wttm_loss import WTTMLoss

__all__ = [
    'AEKTLoss',
    'ATLoss',
    'CRDLoss',
    'CTKDLoss',
    'CWDLoss',
    'DISTLoss',
    'DKDLoss',
    'DistillLoss',
    'FGDLoss',
    'FitNetLoss',
    'KDLoss',
    'LAKDLoss',
    'LSKDLoss',
    'LumiNetLoss',
    'MGDLoss',
    'MLKDLoss',
    'NKDLoss',
    'NSTLoss',
    'OFALoss',
    'OFDLoss',
    'PKDLoss',
    'PKTLoss',
    'RKDLoss',
    'ReviewKDLoss',
    'SDDLoss',
    'SPLoss',
    'SRRLLoss',
    'UniKDLoss',
    'WSLDLoss',
    'WTTMLoss',
]
