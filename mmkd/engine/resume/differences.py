"""Comparing the config that a checkpoint was made with with the config now.

What takes effect on a training that goes on may differ. What the checkpoint's own
state would silently overrule may not.
"""

import os.path as osp
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from mmkd.errors import ConfigError

from .config_text import read_literals

#: What a Runner is made of. What else a config holds has no effect by itself.
COMPARED = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'val_dataloader',
    'train_cfg',
    'val_cfg',
    'val_evaluator',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'default_hooks',
    'custom_hooks',
    'work_dir',
    'launcher',
    'randomness',
    'env_cfg',
    'visualizer',
    'log_processor',
    'log_level',
    'experiment_name',
    'default_scope',
    'custom_imports',
    'model_wrapper_cfg',
    'compile',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
)
OVERRULED = 'which the state in the checkpoint would silently overrule'
#: What may not differ, by its place, and why.
REFUSED = {
    r'optim_wrapper(\.\w+)?\.optimizer\.type': 'whose state is of another kind',
    r'optim_wrapper(\.\w+)?\.(optimizer|paramwise_cfg|constructor)\b.*': OVERRULED,
    r'(param_scheduler|auto_scale_lr)\b.*': OVERRULED,
    r'train_cfg\.type': 'which counts otherwise',
    r'randomness\.seed': OVERRULED,
}
#: What may be added or taken away, but not changed.
REFUSED_WHERE_BOTH = {r'optim_wrapper\.loss_scale\b.*': OVERRULED}
EMPTY = (None, '', [], {})
SHOWN = 8  # differences in the line
LONGEST = 80  # characters of a value


class Difference(NamedTuple):
    """What two configs have at one place; None is as good as nothing."""

    path: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f'{self.path} was {_short(self.then)} and is {_short(self.now)}'

    @property
    def refused(self) -> Optional[str]:
        """Why it may not differ, None where it may."""
        rules = dict(REFUSED)
        if self.then is not None and self.now is not None:
            rules.update(REFUSED_WHERE_BOTH)
        reasons = (rules[place] for place in rules if re.fullmatch(place, self.path))
        return next(reasons, None)


def compare(name: str, meta: dict, text: str) -> str:
    """Compare what a checkpoint was made with with a config.

    Args:
        name (str): Path of the checkpoint.
        meta (dict): What is saved beside its weights.
        text (str): The config now, as MMEngine writes it.

    Returns:
        str: A line on what differs, empty where nothing does.

    Raises:
        ConfigError: Something differs that may not.
    """
    try:
        changes = differences(meta, text)
    except ValueError as error:
        return f'The config is not compared with the one that {name} holds: {error}.'
    for change in changes:
        if change.refused:
            raise ConfigError(
                f'{name} cannot be resumed from with this config: {change}, '
                f'{change.refused}; set it back, or start a new training from its '
                'weights, with load_from, in another work_dir and without --resume.'
            )
    if not changes:
        return ''
    longer = any(change.path.startswith('train_cfg.max_') for change in changes)
    kept = '; what is scheduled stays so' if longer else ''
    return f'Since {name} was saved, this has changed: {listed(changes)}{kept}.'


def differences(meta: dict, text: str) -> List[Difference]:
    """Return in what a config differs from the one that a checkpoint was made with.

    Args:
        meta (dict): What is saved beside its weights.
        text (str): The config, as MMEngine writes it.

    Raises:
        ValueError: One of both cannot be read without running it.
    """
    then = _normal(read_literals(meta.get('cfg')))
    if meta.get('seed') is not None:
        then['randomness']['seed'] = meta['seed']
    return list(_differences(then, _normal(read_literals(text))))


def listed(changes: List[Difference]) -> str:
    """Return the first of them for a sentence."""
    more = f'; and {len(changes) - SHOWN} more' if len(changes) > SHOWN else ''
    return '; '.join(map(str, changes[:SHOWN])) + more


def _normal(config: Dict[str, Any]) -> Dict[str, Any]:
    """Keep what is compared, and spell in one way what may be spelled in several."""
    config = {key: config.get(key) for key in COMPARED}
    schedules = config['param_scheduler']
    if isinstance(schedules, dict):
        config['param_scheduler'] = [schedules]
    loop = config['train_cfg'] = dict(config['train_cfg'] or {})
    by_epoch = loop.pop('by_epoch', None)
    if by_epoch is not None:
        loop.setdefault('type', f'{"Epoch" if by_epoch else "Iter"}BasedTrainLoop')
    scale = config['auto_scale_lr'] or {}
    batch = (config['train_dataloader'] or {}).get('batch_size')
    # The learning rate depends on both.
    config['auto_scale_lr'] = dict(scale, batch=batch) if scale.get('enable') else None
    config['work_dir'] = osp.normpath(config['work_dir'] or '')
    config['randomness'] = dict(config['randomness'] or {})
    return config


def _differences(then: Any, now: Any, path: str = '') -> Iterator[Difference]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in {**then, **now}:
            inner = f'{path}.{key}' if path else str(key)
            yield from _differences(then.get(key), now.get(key), inner)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, (old, new) in enumerate(zip(then, now)):
            yield from _differences(old, new, f'{path}.{index}')
    elif then != now and not _same(path, then, now):
        yield Difference(path, then, now)


def _same(path: str, then: Any, now: Any) -> bool:
    """Whether two values that differ are spellings of one."""
    if then in EMPTY and now in EMPTY:
        return True
    if path == 'randomness.seed':
        return now is None  # the checkpoint's is taken
    if not isinstance(then, str) or not isinstance(now, str):
        return False
    if path == 'work_dir':  # from wherever it was started
        return any(f'/{a}'.endswith(f'/{b}') for a, b in ((then, now), (now, then)))
    if path.split('.')[-1] != 'type':
        return False
    old, new = then.split('.'), now.split('.')
    alike = 1 in (len(old), len(new)) or old[0] == new[0]
    return alike and old[-1] == new[-1]


def _short(value: Any) -> str:
    text = 'not there' if value is None else repr(value)
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 3]}...'
