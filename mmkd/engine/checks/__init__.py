"""Finding what a training lacks: before anything is built, and before it begins.

The latter, :mod:`~mmkd.engine.checks.opening`, needs torch and is imported on its own.
"""

from .batch_size import check_batch_size
from .paths import LOADERS, SELF_MADE, check_data
from .workers import settle_workers

__all__ = [
    'LOADERS',
    'SELF_MADE',
    'check_batch_size',
    'check_data',
    'settle_workers',
]
