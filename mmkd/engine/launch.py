"""What the command line tools share.

``--help`` waits for neither torch nor the OpenMMLab packages: here the functions that
need them import them, and in a tool ``main``, once the arguments are read.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS

from mmkd.configs import input_size_of, is_distiller, load_config
from mmkd.errors import ConfigError, MMKDError
from mmkd.processes import die_with
from mmkd.registry import HOOKS

if TYPE_CHECKING:
    from mmengine.runner import Runner

#: What every run gets.
HOOKS_OF_ALL = (
    'FiniteLossHook',
    'CheckpointFitHook',
    'SeedHook',
    'MissedValidationHook',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that training and testing have in common, as upstream's."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overwrite config values: key=value, nested by dots, lists as '
        'key="[a,b]" without spaces',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def prepare_config(args: argparse.Namespace) -> Config:
    """Read the config with the command line's values, ready for a Runner.

    Args:
        args (Namespace): With ``config`` and the flags of :func:`add_arguments`.

    Raises:
        ConfigError: See :func:`load_config`.
    """
    from mmkd.compat.cpu_dist import prepare_cpu_launch
    from mmkd.engine.checks import settle_workers

    if args.launcher == 'pytorch':
        die_with(os.getppid())  # or it would train on alone
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    if not isinstance(cfg.get('model'), dict):
        raise ConfigError(
            f'{args.config} has no model; give a config with model=dict(type=...).'
        )
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    settle_workers(cfg)
    if cfg.get('default_scope') == 'mmpretrain':
        _as_mmpretrain_loads(cfg)
    if is_distiller(cfg.get('model') or {}) and input_size_of(cfg) is not None:
        cfg.model.setdefault('probe_size', input_size_of(cfg))
    prepare_cpu_launch(cfg, args.launcher)
    return cfg


def build_runner(cfg: Config) -> 'Runner':
    """Build the Runner, or the ``runner_type`` that the config names.

    It gets the hooks of :data:`HOOKS_OF_ALL`, which the config need not name; those
    that it names are its own.
    """
    from mmengine.runner import Runner

    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for name in HOOKS_OF_ALL:
        hook = HOOKS.build(dict(type=f'mmkd.{name}'))
        if not any(isinstance(own, type(hook)) for own in runner.hooks):
            runner.register_hook(hook)
    return runner


def use_amp(cfg: Config) -> None:
    """Train in mixed precision.

    Raises:
        ConfigError: There is no accelerator.
    """
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            '--amp needs a GPU, and torch sees none; train without it on a CPU.'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def run(main: Callable[[], None]) -> None:
    """Call a tool's main; a user's error is one line, not a traceback."""
    # MMEngine 0.10 needs it, and it says so at every package:: base.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    try:
        main()
    except MMKDError as error:
        sys.exit(f'error: {_sentence(error)}')
    dist = sys.modules.get('torch.distributed')
    if dist is not None and dist.is_initialized():
        # Left to the interpreter's exit, gloo's threads now and then abort it.
        dist.destroy_process_group()


def _as_mmpretrain_loads(cfg):
    """Set what mmpretrain's own tools set: its configs rely on it."""
    import torch

    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        spec = cfg.get(loader)
        if spec:
            spec.setdefault('collate_fn', dict(type='default_collate'))
            spec.setdefault('pin_memory', torch.cuda.is_available())
            spec.setdefault('persistent_workers', spec.get('num_workers', 0) > 0)


def _sentence(error: MMKDError) -> str:
    """Return what it says; a data loader's worker puts its traceback before that."""
    text = str(error)
    if text.startswith('Caught '):
        text = text.rstrip().rsplit('\n', 1)[-1].partition(': ')[2]
    return text
