"""Building from config values, with errors that name the key."""

import copy
import difflib
import importlib
import inspect
import math
import pkgutil
import re
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Sequence, Union

import mmengine.registry
from mmengine.config import ConfigDict
from mmengine.registry import Registry

from mmkd.errors import ConfigError, explained
from mmkd.registry import MODELS

#: How MMEngine says that it knows no such type.
UNKNOWN = re.compile(r'([\w.]+) is not in the \S+?::(.+?) registry')
#: How MMCV says that it knows no such layer, whichever that is.
NAMELESS = 'Cannot find None in registry'
#: The largest number of float32.
FLOAT32_MAX = (2 - 2**-23) * 2.0**127


def registered(what: str, kind: Union[str, type], ending: str) -> type:
    """Find a registered class by its name in a config.

    Args:
        what (str): What is being built, for the message.
        kind (str | type): Its name, or the class itself.
        ending (str): How the names of its kind end, such as ``'Loss'``.

    Raises:
        ConfigError: There is none of that name; names those that there are.
    """
    if not isinstance(kind, str) and not inspect.isclass(kind):
        kind = repr(kind)  # which nothing is registered as
    with MODELS.switch_scope_and_registry('mmkd') as registry:
        try:
            kind_class = registry.get(kind) if isinstance(kind, str) else kind
        except RuntimeError:
            kind_class = None
        known = [key for key in registry.module_dict if key.endswith(ending)]
    if kind_class is None:
        close = difflib.get_close_matches(str(kind), known, n=1, cutoff=0.5)
        hint = f'; did you mean {close[0]}?' if close else '.'
        raise ConfigError(
            f'{what}: unknown {ending.lower()} {kind!r}; known: '
            f'{", ".join(known)}{hint}'
        )
    return kind_class


def construct(what: str, build: Callable, *args, **kwargs) -> Any:
    """Call ``build``; a missing or unknown argument is the user's, so it is named.

    Args:
        what (str): What is being built, for the message.
        build (Callable): A class or a function.
        *args: Its arguments.
        **kwargs: Its keyword arguments, from a config.

    Raises:
        ConfigError: The arguments are not those of ``build``, or it does not take
            their values.
    """
    signature = inspect.signature(build)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        known = [
            name
            for name, parameter in list(signature.parameters.items())[len(args) :]
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        raise ConfigError(
            f'{what}: {error}; its arguments are {", ".join(known) or "none"}.'
        ) from None
    given = ', '.join(f'{name}={_short(value)}' for name, value in kwargs.items())
    with explained(
        f'{what} cannot be built with {given or "its defaults"}',
        'give values that it takes',
    ):
        return build(*args, **kwargs)


def build_from(registry: Registry, spec: dict, **known) -> Any:
    """Build what a part of a config describes, which stays as it is.

    Classes take parts out of the dicts that they get, add to them, and expect a
    config's, whose keys are attributes too.

    Args:
        registry (Registry): Where its type is looked up.
        spec (dict): Type and arguments, of a config or plain.
        **known: Arguments that it may lack.
    """
    return registry.build(ConfigDict(copy.deepcopy(spec)), default_args=known or None)


@contextmanager
def building(whose: str) -> Iterator[None]:
    """Say whose network cannot be built in here, and where a type is unknown, which.

    Args:
        whose (str): What it is, such as ``'the teacher'``.

    Raises:
        ConfigError: In place of what is raised by the network's parts.
    """
    with explained(
        f'{whose} cannot be built', 'correct types and arguments in its config'
    ):
        try:
            yield
        except KeyError as error:
            if NAMELESS in str(error):
                raise ConfigError(
                    f'{whose}: a type in a norm_cfg, conv_cfg or the like is not '
                    'registered; check their spelling, or name the module that has '
                    'it in custom_imports.'
                ) from error
            unknown = UNKNOWN.search(str(error))
            if unknown is None:
                raise
            kind, group = unknown.groups()
            close = difflib.get_close_matches(kind.split('.')[-1], _all_of(group), n=1)
            hint = (
                f'; did you mean {close[0]}?'
                if close
                else ('; check its spelling, or name its module in custom_imports.')
            )
            raise ConfigError(
                f'{whose}: no {group} of type {kind!r} is registered{hint}'
            ) from error


def _all_of(group):
    """Names in MMEngine's registries of one kind, and in those below them."""
    roots = vars(mmengine.registry).values()
    roots = [r for r in roots if isinstance(r, Registry) and r.name == group]
    below = [registry for root in roots for registry in root.children.values()]
    return [name for registry in [*roots, *below] for name in registry.module_dict]


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:60]}...'


def is_number(value) -> bool:
    """Whether a config's value is a finite number that float32 holds, and no bool."""
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and abs(value) <= FLOAT32_MAX


def is_whole(value) -> bool:
    """Whether it is such a number without a fraction, be it written ``1e3``."""
    return is_number(value) and value == int(value)


def got(value) -> str:
    """Say what a config gave in place of a number."""
    real = isinstance(value, (int, float)) and math.inf > abs(value) > FLOAT32_MAX
    return f'got {value!r}' + (', which float32 does not hold' if real else '')


def import_all(package: str, path: Sequence[str]) -> None:
    """Import all modules of a package, so that what they register is known.

    Args:
        package (str): Its ``__name__``.
        path (Sequence[str]): Its ``__path__``.
    """
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f'{package}.{module.name}')
