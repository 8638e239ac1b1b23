"""Building from config values, with errors that name the key."""

import inspect
from typing import Any, Callable

from mmkd.errors import ConfigError


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
