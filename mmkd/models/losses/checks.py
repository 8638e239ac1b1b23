"""Checks of what losses are given."""

import math

from mmkd.errors import ConfigError

from .base import LossInputs


def positive(owner: str, name: str, value: float) -> float:
    """Return ``value`` if it is a finite number above zero.

    Raises:
        ConfigError: It is not.
    """
    if not _is_finite(value) or value <= 0:
        raise ConfigError(f'{owner}: {name} must be a number above 0, got {value!r}.')
    return value


def not_negative(owner: str, name: str, value: float) -> float:
    """Return ``value`` if it is a finite number of at least zero.

    Raises:
        ConfigError: It is not.
    """
    if not _is_finite(value) or value < 0:
        raise ConfigError(
            f'{owner}: {name} must be a number of at least 0, got {value!r}.'
        )
    return value


def whole(owner: str, name: str, value: int) -> int:
    """Return ``value`` if it is a whole number of at least 1.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(
            f'{owner}: {name} must be a whole number of at least 1, got {value!r}.'
        )
    return value


def _is_finite(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def one_of(owner: str, name: str, value, allowed) -> str:
    """Return ``value`` if it is among ``allowed``.

    Raises:
        ConfigError: It is not.
    """
    if value not in allowed:
        raise ConfigError(f'{owner}: {name} must be one of {allowed}, got {value!r}.')
    return value


def same_channels(inputs: LossInputs, adapter: str) -> None:
    """Refuse sides of other channels, for a loss that gets no inferred adapter.

    Args:
        inputs (LossInputs): What will be compared.
        adapter (str): The adapter to advise, as written in a config.

    Raises:
        ConfigError: Channels differ at some level.
    """
    for ours, theirs in zip(inputs.student, inputs.teacher):
        if ours[1] != theirs[1]:
            raise ConfigError(
                f'{inputs.where}: the student has {ours[1]} channels and the teacher '
                f'{theirs[1]} (shapes {ours} and {theirs}); give on=dict(student=..., '
                f'teacher=..., adapter={adapter}).'
            )
