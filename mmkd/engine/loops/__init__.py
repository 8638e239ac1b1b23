"""Validation loops."""

from .accuracy_val_loop import AccuracyValLoop

__all__ = ['AccuracyValLoop']
