"""Adapters: from the student's tensors to the teacher's shapes."""

from .build import build_adapter
from .conv_adapter import ConvAdapter
from .conv_norm_adapter import ConvNormAdapter
from .level_adapters import LevelAdapters
from .linear_adapter import LinearAdapter
from .stage_classifier_adapter import StageClassifierAdapter

__all__ = [
    'ConvAdapter',
    'ConvNormAdapter',
    'LevelAdapters',
    'LinearAdapter',
    'StageClassifierAdapter',
    'build_adapter',
]
