"""``--epochs``: every time in proportion."""

import copy
from typing import List, Union

from mmengine.config import Config

from mmkd.configs import name_of, type_of
from mmkd.errors import ConfigError

from .loop import Loop

#: Schedulers of which all times are known, without ``LR`` and the like.
SCHEDULERS = ('MultiStep', 'Linear', 'Constant', 'CosineAnnealing', 'Poly')
#: Of a loss weight.
TIMES = ('warmup_epochs', 'begin', 'end', 'stop')


class TooFewEpochs(ConfigError):
    """A scheduler's times cannot be scaled down that far."""


def shrink_epochs(cfg: Config, epochs: int) -> List[str]:
    """Shorten a training in place: its length, schedulers and loss weights.

    Args:
        cfg (Config): Of a training by epochs.
        epochs (int): The new length.

    Returns:
        list[str]: What was done, such as ``['30 of 240 epochs']``; or nothing.

    Raises:
        ConfigError: A time cannot be scaled, or is too short then.
    """
    loop = Loop.of(cfg)
    if loop.unit != 'epoch':
        raise ConfigError(
            f'--epochs cannot shorten a training by iterations, here of {loop}; leave '
            'it out, or let the config train by epochs: '
            'train_cfg=dict(by_epoch=True, max_epochs=N).'
        )
    total = loop.length
    if not 1 <= epochs <= total:
        raise ConfigError(f"--epochs {epochs} must be from 1 to the config's {total}.")
    if epochs == total:
        return []
    _check_hooks(cfg)
    schedulers = cfg.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    _check_room(schedulers, epochs, total)
    cfg.train_cfg.max_epochs = epochs
    if 'val_begin' in cfg.train_cfg:
        cfg.train_cfg.val_begin = max(
            1, round(cfg.train_cfg.val_begin * epochs / total)
        )
    for spec in schedulers:
        _shrink_scheduler(spec, epochs, total)
    for name, term in (cfg.model.get('losses') or {}).items():
        if isinstance(term.get('weight'), dict):
            _shrink_weight(name, term.weight, epochs, total)
        # A time of the loss itself, such as that of CTKD's curriculum.
        if term.get('warmup_epochs'):
            term.warmup_epochs = _scaled(term.warmup_epochs, epochs, total)
    return [f'{epochs} of {total} epochs']


def _check_room(schedulers, epochs, total):
    """Refuse epochs that are too few for a scheduler; say how many are enough."""
    short, enough = None, epochs
    for enough in range(epochs, total + 1):
        try:
            for spec in copy.deepcopy(schedulers):
                _shrink_scheduler(spec, enough, total)
            break
        except TooFewEpochs as error:
            short = short or error
    if short is not None:
        raise ConfigError(f'{short}; give at least {enough}.')


def _check_hooks(cfg):
    for hook in cfg.get('custom_hooks') or []:
        times = [key for key in hook if 'epoch' in key and key != 'by_epoch']
        if times:
            raise ConfigError(
                f'--epochs cannot scale {times[0]} of the hook {type_of(hook)}; '
                'take the hook out, or set it in a config of its own.'
            )


def _shrink_scheduler(spec, epochs, total):
    kind, by_epoch = name_of(spec), spec.get('by_epoch', True)
    known = kind.startswith(SCHEDULERS)
    # Of iterations, it is not known here after how many a training ends.
    if not known or (not by_epoch and 'milestones' in spec):
        raise ConfigError(
            f'--epochs cannot scale the scheduler {kind} (by_epoch={by_epoch}); it '
            f'knows {", ".join(SCHEDULERS)}, and milestones by epoch.'
        )
    # In an epoch are as many iterations as before, so both scale alike.
    for key in ('begin', 'end', 'T_max'):
        if key in spec:
            least = 1 if key == 'T_max' else 0
            spec[key] = max(least, round(spec[key] * epochs / total))
    if 'end' in spec:
        # A linear change needs a first and a last step.
        least = 1 if spec.get('convert_to_iter_based') or 'Linear' not in kind else 2
        if spec.end - spec.get('begin', 0) < least:
            raise TooFewEpochs(
                f'--epochs {epochs} leaves {kind} the '
                f'{"epochs" if by_epoch else "iterations"} {spec.get("begin", 0)} to '
                f'{spec.end}, too few'
            )
    if 'milestones' in spec:
        spec.milestones = _milestones(spec.milestones, epochs, total)


def _milestones(old, epochs, total):
    """Scale, and keep distinct and below the last epoch those that were."""
    new, limit = [], epochs
    for milestone in sorted(old, reverse=True):
        scaled = round(milestone * epochs / total)
        if milestone < total:
            limit = scaled = min(scaled, limit - 1)
        new.insert(0, scaled)
    if new[0] < 1:
        raise TooFewEpochs(
            f'--epochs {epochs} leaves no room for the milestones {list(old)} of '
            f'{total} epochs'
        )
    return new


def _scaled(time: float, epochs: int, total: int) -> Union[int, float]:
    time = time * epochs / total
    return int(time) if time == int(time) else time


def _shrink_weight(name, weight, epochs, total):
    if weight.get('warmup_iters') or weight.get('unit') == 'iter':
        raise ConfigError(
            f'--epochs cannot scale the weight of {name}: its times are in iterations; '
            'give them in epochs.'
        )
    # A Schedule takes fractions: they keep the order, and a warm-up its slope.
    for key in TIMES:
        if weight.get(key):
            weight[key] = _scaled(weight[key], epochs, total)
    if weight.get('milestones'):
        weight.milestones = [
            _scaled(milestone, epochs, total) for milestone in weight.milestones
        ]
