"""Set-up of all tests."""

import warnings

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

import mmkd  # noqa: F401  before any test module imports mmcv.ops or mmdet

# MMEngine reloads pkg_resources at every package:: base, and it says so every time.
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
# The networks are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_globals():
    """Forget what a Runner or a test before left in MMEngine's global managers."""
    yield
    for manager in (DefaultScope, MessageHub, Visualizer):
        manager._instance_dict.clear()
