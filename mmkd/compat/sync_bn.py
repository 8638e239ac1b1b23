"""``MMSyncBN`` in one process.

mmcv 2.1 asks for the size of the process group when the layer is built, and a run of
one process has none, so that stock configs with it cannot be built there, though
MMEngine's Runner would revert the layer to a batch norm next
(https://github.com/open-mmlab/mmdetection/blob/v3.3.0/tools/analysis_tools/get_flops.py
calls it a known bug). And the layer keeps the group of all processes, which is the
default of all that it does with it, and which nothing can copy: neither an ``EMAHook``
nor a dry run copies such a network. Delete this when ``MMSyncBN`` is built without a
process group, and copied with one.
"""

import sys
from types import SimpleNamespace
from typing import Any

import mmengine.dist
import torch

NAME = 'mmcv.ops.sync_bn'


class _Distributed:
    """What ``mmcv.ops.sync_bn`` sees as ``torch.distributed``."""

    #: None is the group of all processes, if there is one.
    group = SimpleNamespace(WORLD=None)

    def get_world_size(self, group: Any = None) -> int:
        """Return 1 where there are no other processes."""
        return mmengine.dist.get_world_size(group)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.distributed, name)


def install() -> None:
    """Let the layer ask MMEngine, which knows runs of one process."""
    sys.modules[NAME].dist = _Distributed()
