"""Knowledge distillation for any mmpretrain classifier and any mmdet detector."""

from mmkd import compat
from mmkd.version import __version__

# First of all: mmdet cannot be imported beside mmcv-lite until this has run.
compat.setup()

from mmkd.models.distiller import Distiller  # noqa: E402

__all__ = ['Distiller', '__version__']
