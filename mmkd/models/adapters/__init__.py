"""Adapters: from the student's tensors to the teacher's shapes."""

from .build import build_adapter
from .conv_adapter import ConvAdapter
from .conv_norm_adapter import ConvNormAdapter
from .linear_adapter import LinearAdapter
from .stage_classifier_adapter import StageClassifierAdapter

__all__ = [
    'ConvAdapter',
    'ConvNormAdapter',
    'LinearAdapter',
    'StageClassifierAdapter',
    'build_adapter',
]
