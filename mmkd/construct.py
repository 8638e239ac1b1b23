"""Building from config values, with errors that name the key."""

import difflib
import importlib
import inspect
import pkgutil
from typing import Any, Callable, Sequence, Union

from mmkd.errors import ConfigError
from mmkd.registry import MODELS


def registered(what: str, kind: Union[str, type], ending: str) -> type:
    """Find a registered class by its name in a config.

    Args:
        what (str): What is being built, for the message.
        kind (str | type): Its name, or the class itself.
        ending (str): How the names of its kind end, such as ``'Loss'``.

    Raises:
        ConfigError: There is none of that name; names those that there are.
    """
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
        ConfigError: The arguments are not those of ``build``.
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
    return build(*args, **kwargs)


def import_all(package: str, path: Sequence[str]) -> None:
    """Import all modules of a package, so that what they register is known.

    Args:
        package (str): Its ``__name__``.
        path (Sequence[str]): Its ``__path__``.
    """
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f'{package}.{module.name}')
