"""A training that goes on from where an earlier one stopped, and that is alone."""

import logging
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Iterator, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmkd.errors import CheckpointError
from mmkd.locks import locked
from mmkd.processes import is_first

from .differences import compare
from .newest import checkpoint_hooks, newest_checkpoint, read_training

#: Settings of CheckpointHook, True by default, without which nobody can resume.
NEEDED = ('save_optimizer', 'save_param_scheduler')
PATIENCE = 10.0  # seconds; data loaders of a killed training take up to five


def prepare_resuming(cfg: Config, path: Optional[str] = None) -> None:
    """Have a config go on from a checkpoint that fits it.

    Args:
        cfg (Config): What to train; ``resume`` and ``load_from`` are set in place.
        path (str, optional): The checkpoint. Defaults to the newest of the work dir;
            where there is none the training starts at the beginning.

    Raises:
        CheckpointError: No training can go on from it.
        ConfigError: What it was trained with differs in what may not.
    """
    path = path or newest_checkpoint(Path(cfg.work_dir), checkpoint_hooks(cfg))
    if path is None:
        best = sorted(Path(cfg.work_dir).glob('best_*.pth'))
        if best:
            raise CheckpointError(
                f'{cfg.work_dir} holds no checkpoint of an epoch or iteration, only '
                f'{best[0].name}; go on from that with --resume {best[0]}, or give '
                'another --work-dir to start at the beginning.'
            )
        cfg.resume = False
        return _say(
            f'{cfg.work_dir} holds no checkpoint, so the training starts at the '
            'beginning.',
            cfg,
        )
    cfg.resume, cfg.load_from = True, str(path)
    if '://' not in cfg.load_from:  # others are looked at when they are loaded
        meta = read_training(Path(path))['meta']
        _say(compare(cfg.load_from, meta, cfg.pretty_text), cfg)


@contextmanager
def alone(cfg: Config) -> Iterator[None]:
    """Own the work dir of a training, until it ends in whatever way.

    Raises:
        ConfigError: Another training is going on there.
        KeyboardInterrupt: It was interrupted; the text says what is saved.
    """
    first = is_first(cfg.get('launcher', 'none'))
    with locked(Path(cfg.work_dir), PATIENCE) if first else nullcontext():
        _warn_if_for_good(cfg)
        try:
            yield
        except BaseException as error:
            if not _interrupted(error):
                raise
            raise KeyboardInterrupt(_saved(cfg)) from None


def _warn_if_for_good(cfg):
    """Say so before training where nobody will be able to go on."""
    for hook in checkpoint_hooks(cfg):
        off = [key for key in NEEDED if hook.get(key) is False]
        if off and is_first(cfg.get('launcher', 'none')):
            print_log(
                f'{off[0]}=False: no training can go on from these checkpoints.',
                logger='current',
                level=logging.WARNING,
            )


def _interrupted(error: Optional[BaseException]) -> bool:
    """Whether Ctrl-C is behind it: MMEngine makes another error of that in places."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _saved(cfg: Config) -> str:
    try:
        newest = newest_checkpoint(Path(cfg.work_dir), checkpoint_hooks(cfg))
    except CheckpointError as error:
        return f'interrupted; {error}'
    if newest is None:
        return 'interrupted; nothing is saved yet, so the same command starts again.'
    return (
        f'interrupted; {newest} is saved, and the same command with --resume goes on '
        'from there.'
    )


def _say(line: str, cfg: Config) -> None:
    if line and is_first(cfg.get('launcher', 'none')):
        print_log(line, logger='current')
