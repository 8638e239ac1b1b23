"""What the command line tools share.

``--help`` waits for neither torch nor the OpenMMLab packages: here the functions that
need them import them, and in a tool ``main``, once the arguments are read.
"""

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmkd.configs import input_size_of, is_distiller, load_model_config
from mmkd.engine.processes import check_launcher, end
from mmkd.engine.sentences import sentence
from mmkd.errors import ConfigError
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
#: Keys of a config of which a Runner takes all or none.
TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def prepare_config(args: argparse.Namespace) -> Config:
    """Read the config with the command line's values, ready for a Runner.

    Args:
        args (Namespace): With ``config`` and the flags of
            :func:`mmkd.engine.arguments.add_arguments`.

    Raises:
        ConfigError: See :func:`load_model_config` and :func:`check_launcher`; or a
            value of the Runner's is none that it takes.
    """
    from mmkd.compat.cpu_dist import prepare_cpu_launch
    from mmkd.engine.checks import settle_workers

    if args.launcher == 'pytorch':
        die_with(os.getppid())  # or it would train on alone
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    check_launcher(args.launcher)
    cfg = load_model_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    _check_values(cfg)
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

    Raises:
        ConfigError: Of what belongs together something is missing.
    """
    from mmengine.runner import Runner

    for parts in TOGETHER:
        there = [key for key in parts if cfg.get(key) is not None]
        if there and len(there) < len(parts):
            (missing, *_) = (key for key in parts if key not in there)
            raise ConfigError(
                f'the config has {" and ".join(there)}, but no {missing}; give all of '
                f'{", ".join(parts)}, or set all to None.'
            )
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for name in HOOKS_OF_ALL:
        hook = HOOKS.build(dict(type=f'mmkd.{name}'))
        if not any(isinstance(own, type(hook)) for own in runner.hooks):
            runner.register_hook(hook)
    return runner


def use_amp(cfg: Config) -> None:
    """Train in mixed precision.

    Raises:
        ConfigError: There is no accelerator, or nothing to train with.
    """
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            '--amp needs a GPU, and torch sees none; train without it on a CPU.'
        )
    if not cfg.get('optim_wrapper'):
        raise ConfigError('--amp needs an optim_wrapper in the config.')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def run(main: Callable[[], None], interrupted: str = 'interrupted') -> None:
    """Call a tool's main; what a user can act on is one line, not a traceback.

    With ``--debug`` or ``MMKD_DEBUG=1`` the traceback is before that line.

    Args:
        main (Callable): It.
        interrupted (str): What to say after Ctrl-C, if that says nothing itself.
    """
    # MMEngine 0.10 needs it, and it says so at every package:: base.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    try:
        main()
    except KeyboardInterrupt as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launcher sends another one
        end(str(error) or interrupted, 128 + signal.SIGINT)
    except Exception as error:
        text = sentence(error)
        if text is None:
            raise
        if os.environ.get('MMKD_DEBUG', '0') not in ('', '0'):
            traceback.print_exc()
        end(f'error: {text}', 1)
    dist = sys.modules.get('torch.distributed')
    if dist is not None and dist.is_initialized():
        dist.destroy_process_group()
        # Even so, gloo's threads now and then abort the interpreter's exit.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _as_mmpretrain_loads(cfg):
    """Set what mmpretrain's own tools set: its configs rely on it."""
    import torch

    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        spec = cfg.get(loader)
        if spec:
            spec.setdefault('collate_fn', dict(type='default_collate'))
            spec.setdefault('pin_memory', torch.cuda.is_available())
            spec.setdefault('persistent_workers', spec.get('num_workers', 0) > 0)


def _check_values(cfg):
    """Refuse values that a Runner would fail on in NumPy's or the system's words."""
    if Path(cfg.work_dir).exists() and not Path(cfg.work_dir).is_dir():
        raise ConfigError(f'the work dir {cfg.work_dir} is a file; give a folder.')
    scope = cfg.get('default_scope')
    if scope is not None and not (isinstance(scope, str) and find_spec(scope)):
        raise ConfigError(
            f'default_scope={scope!r} is no installed package; give mmdet, mmpretrain '
            'or another whose parts the config names.'
        )
    level = cfg.get('log_level', 'INFO')
    if not isinstance(getattr(logging, str(level), level), int):
        raise ConfigError(f'log_level={level!r} is none; give INFO, WARNING or DEBUG.')
    for key in chain(*TOGETHER):
        if not isinstance(cfg.get(key), (dict, list, type(None))) or (
            key.endswith('dataloader') and isinstance(cfg.get(key), list)
        ):
            raise ConfigError(f'{key} must be a dict or None, got {cfg.get(key)!r}.')
    for key in ('max_epochs', 'max_iters'):
        length = (cfg.get('train_cfg') or {}).get(key, 1)
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ConfigError(
                f'train_cfg.{key}={length!r} is no whole number of at least 1.'
            )
    randomness = cfg.get('randomness') or {}
    if not isinstance(randomness, dict):
        raise ConfigError(f'randomness must be dict(seed=N), got {randomness!r}.')
    seed = randomness.get('seed')
    whole = isinstance(seed, int) and not isinstance(seed, bool)
    if seed is not None and not (whole and 0 <= seed < 2**32):
        raise ConfigError(
            f'randomness.seed={seed!r} is no whole number from 0 to {2**32 - 1}; give '
            'one, or None for a random seed.'
        )
