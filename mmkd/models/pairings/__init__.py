"""Pairings, a file each: a registry, as that of losses is.

Whatever lies in this folder is registered; one outside of the package registers itself.
"""

from mmkd.construct import import_all

from .base import Aligned, Pairing
from .build import build_pairing

__all__ = ['Aligned', 'Pairing', 'build_pairing']

import_all(__name__, __path__)
