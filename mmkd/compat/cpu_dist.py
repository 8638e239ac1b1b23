"""Distributed training on CPUs.

MMEngine 0.10.7 calls ``torch.cuda.set_device`` for every launcher
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/dist/utils.py) and wraps
the model with ``device_ids=[LOCAL_RANK]`` (``Runner.wrap_model``), GPU or not. Delete
this when the Runner with ``launcher='pytorch'`` trains without a GPU.
"""

import os
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing


def prepare_cpu_launch(cfg: Config, launcher: str) -> None:
    """Make a launched run of ``cfg`` work without a GPU; call before the Runner.

    Initialises the gloo process group, so that the Runner skips its own set-up, and
    sets ``cfg.model_wrapper_cfg`` unless the user did. Does nothing with an
    accelerator or without a launcher.

    Args:
        cfg: The Runner's config; changed in place.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi', as for MMEngine's Runner.
    """
    if launcher == 'none' or get_device() != 'cpu':
        return
    if not is_distributed():
        env_cfg = cfg.get('env_cfg', {})
        # As the Runner does first: otherwise `init_dist` chooses 'spawn'.
        set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=True)
        dist_cfg = {**env_cfg.get('dist_cfg', {}), 'backend': 'gloo'}
        # Each launcher's variables are read by MMEngine itself.
        with patch.object(torch.cuda, 'set_device'):
            init_dist(launcher, **dist_cfg)
    # The Runner reads it even if it is not used; the mpi launcher does not set it.
    os.environ.setdefault('LOCAL_RANK', '0')
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=cfg.get('broadcast_buffers', False),
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
