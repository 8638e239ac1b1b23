"""Set-up of all tests."""

import gc
import os
import warnings

# The networks are tiny: a second thread costs more than it brings. Of the tools that
# tests start, too, and before NumPy is loaded.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

import mmkd  # noqa: F401  before any test module imports mmcv.ops or mmdet

# MMEngine reloads pkg_resources at every package:: base, and it says so every time.
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
torch.set_num_threads(1)


def pytest_collection_finish():
    """Spare what was imported from garbage collection.

    Each of MMEngine's data sets collects garbage when it is made, which takes 0.6 s
    where all of mmdet and mmpretrain is looked through.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """Let the interpreter's end find what was spared."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def fresh_globals():
    """Forget what a Runner or a test before left in MMEngine's global managers."""
    yield
    for manager in (DefaultScope, MessageHub, Visualizer):
        manager._instance_dict.clear()
