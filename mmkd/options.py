"""Values of a command line in place of a config's: ``--cfg-options``."""

import difflib
import functools
import inspect
import re
from typing import Any, FrozenSet, Iterable, Iterator, Optional, Sequence, Tuple

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry

from mmkd.errors import ConfigError, explained

#: Parts without a type whose keys are fixed: others would be ignored.
KEYS = dict(
    env_cfg=('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    randomness=('seed', 'diff_rank_seed', 'deterministic'),
    auto_scale_lr=('enable', 'base_batch_size'),
)
#: Parts whose keys are names of the user's choice.
NAMED = ('losses', 'teachers')
#: How much of a new key's letters another has where it is taken for a slip.
ALIKE = 0.85


def merge_options(cfg: Config, options: dict) -> None:
    """Overwrite values of a config in place.

    What is ignored would be a silent mistake: a name at the top must be one that a
    Runner or the tools read, and a new one further down none that is almost the name
    beside it. Whether a class takes an argument is seen when it is built.

    Args:
        cfg (Config): A config.
        options (dict): Values by keys, nested by dots; a number is a place in a list.

    Raises:
        ConfigError: An option fits nothing in the config.
    """
    for key, value in options.items():
        _check(cfg, key, value)
    with explained(
        '--cfg-options cannot be put into the config',
        'give each value once, and keys as the config nests them',
    ):
        cfg.merge_from_dict(options)


@functools.cache
def runner_keys() -> FrozenSet[str]:
    """Return what a Runner and the tools read at the top of a config."""
    from mmengine.runner import Runner

    return frozenset(inspect.signature(Runner).parameters) - {'cfg'} | {
        *('runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn'),
        *('broadcast_buffers', 'detect_anomalous_params', 'compile'),
        *('activation_checkpointing', 'efficient_conv_bn_eval'),
        *('tta_model', 'tta_pipeline', 'custom_imports', 'benchmark', 'published'),
    }


def _check(cfg: Config, key: str, value: Any) -> None:
    names, part = key.split('.'), cfg
    if '' in names:
        raise ConfigError(
            f'--cfg-options {key}={value}: a name between the dots is empty; give '
            'KEY=VALUE, as in optim_wrapper.optimizer.lr=0.1.'
        )
    for depth, name in enumerate(names):
        where = '.'.join(names[:depth])
        if isinstance(part, (list, tuple)):
            if not name.isdigit() or int(name) >= len(part):
                raise ConfigError(
                    f'--cfg-options {key}={value}: {where} is a list of {len(part)}, '
                    f'so {name} must be from 0 to {len(part) - 1}.'
                )
            part = part[int(name)]
            continue
        if not isinstance(part, (dict, Config)):
            raise ConfigError(
                f'--cfg-options {key}={value}: {where} is {part!r} in the config, '
                f'which holds no {name}; give {where} as a whole, or write it as '
                'dict(...) in a config.'
            )
        if name not in part:
            _check_new(part, key, value, where, name, cfg.get('default_scope'))
        elif not depth:
            _check_read(cfg, key, value, name)
        part = part.get(name, {})
    if key in cfg and isinstance(part, dict) and value is not None:
        raise ConfigError(
            f'--cfg-options {key}={value}: {key} is a dict in the config; set what is '
            f'in it, as in {key}.{next(iter(part), "NAME")}=..., or {key}=None.'
        )


def _check_read(cfg: Config, key: str, value: Any, name: str) -> None:
    """Refuse a variable of the config's text: what it was used for has its value."""
    if name in runner_keys() or 'runner_type' in cfg:
        return
    old = cfg.get(key)
    places = (place for place, used in _leaves(cfg._cfg_dict) if used == old)
    use = next((place for place in places if place.split('.')[0] in runner_keys()), '')
    hint = f', such as {use}={value}' if use else ''
    raise ConfigError(
        f'--cfg-options {key}={value}: {name} is a variable of the config, which is '
        f'filled in where it is used already, so nothing would change; set the values '
        f'themselves{hint}.'
    )


def _leaves(node: Any, path: str = '') -> Iterator[Tuple[str, Any]]:
    """Give the values in a config by the options that set them."""
    if isinstance(node, dict):
        inside = node.items()
    elif isinstance(node, (list, tuple)):
        inside = enumerate(node)
    else:
        yield path, node
        return
    for name, each in inside:
        yield from _leaves(each, f'{path}.{name}' if path else str(name))


def _check_new(
    part: dict, key: str, value: Any, where: str, name: str, scope: Optional[str]
) -> None:
    """Refuse a new name that would be ignored."""
    if not where or where in KEYS:
        known = {*part, *KEYS.get(where, ())} if where else {*part, *runner_keys()}
        # A Runner of another type may read more.
        if name in known or (not where and 'runner_type' in part):
            return
        close = _closest(name, known, 0.5)
        hint = f'did you mean {close}?' if close else f'known: {_listed(known)}.'
        raise ConfigError(
            f'--cfg-options {key}={value}: {where or "a config"} has no {name}, and '
            f'nothing would read it; {hint}'
        )
    if where.split('.')[-1] in NAMED:
        return
    close = _closest(name, part, ALIKE)
    alike = close and close[0] == name[0] and _bare(close) != _bare(name)
    if alike and not _takes(part, name, scope):
        raise ConfigError(
            f'--cfg-options {key}={value}: {where} has no {name}; did you mean '
            f'{close}? If both are meant, write {name} into a config.'
        )


def _takes(part: dict, name: str, scope: Optional[str]) -> bool:
    """Whether a class of the part's type has an argument of this name."""
    kind = part.get('type')
    for root in vars(mmengine.registry).values() if isinstance(kind, str) else ():
        if isinstance(root, Registry):
            with root.switch_scope_and_registry(part.get('_scope_', scope)) as registry:
                found = registry.get(kind)
            for base in inspect.getmro(found) if inspect.isclass(found) else ():
                own = vars(base).get('__init__')
                if own and name in inspect.signature(own).parameters:
                    return True
    return False


def _closest(name: str, known: Iterable[str], least: float) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=least)
    return close[0] if close else ''


def _bare(name: str) -> str:
    """Return a name without its numbers: ``layer3`` is not meant as ``layer4``."""
    return re.sub(r'\d+', '', name)


def _listed(names: Sequence[str]) -> str:
    return ', '.join(sorted(names))
