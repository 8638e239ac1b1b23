"""Eager checks of loss arguments."""

from mmkd.errors import ConfigError


def positive(owner: str, name: str, value: float) -> float:
    """Return ``value`` if it is a number above zero.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigError(f'{owner}: {name} must be a number above 0, got {value!r}.')
    return value


def one_of(owner: str, name: str, value, allowed) -> str:
    """Return ``value`` if it is among ``allowed``.

    Raises:
        ConfigError: It is not.
    """
    if value not in allowed:
        raise ConfigError(f'{owner}: {name} must be one of {allowed}, got {value!r}.')
    return value
