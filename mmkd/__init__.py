"""Knowledge distillation for any mmpretrain classifier and any mmdet detector.

Importing it is cheap: torch and the OpenMMLab packages come with what needs them.
"""

from typing import TYPE_CHECKING

from mmkd import compat
from mmkd.lazy import lazy_attributes
from mmkd.version import __version__

if TYPE_CHECKING:
    from mmkd import errors, losses, models, registry
    from mmkd.models.distiller import Distiller

__all__ = [
    'Distiller',
    '__version__',
    'errors',
    'losses',
    'models',
    'registry',
]

# First of all: mmdet cannot be imported beside mmcv-lite until this has run.
compat.setup()

__getattr__, __dir__ = lazy_attributes(
    __name__,
    'errors',
    'losses',
    'models',
    'registry',
    Distiller='mmkd.models.distiller',
)
