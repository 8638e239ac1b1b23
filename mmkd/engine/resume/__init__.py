"""Going on with a training: from what, with what, and alone."""

from .newest import newest_checkpoint
from .training import alone, prepare_resuming

__all__ = ['alone', 'newest_checkpoint', 'prepare_resuming']
