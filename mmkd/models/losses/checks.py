"""Checks of what losses are given."""

import torch
from torch import nn

from mmkd.construct import got, is_number
from mmkd.errors import ConfigError

from .levels import LossInputs

#: Smaller ones are zero to some devices.
TINY = torch.finfo(torch.float32).tiny


def positive(owner: str, name: str, value: float) -> float:
    """Return ``value`` if it is a finite number above zero, in float32, too.

    Raises:
        ConfigError: It is not.
    """
    if not is_number(value) or value < TINY:
        raise ConfigError(f'{owner}: {name} must be a number above 0, {got(value)}.')
    return value


def not_negative(owner: str, name: str, value: float) -> float:
    """Return ``value`` if it is a finite number of at least zero, in float32, too.

    Raises:
        ConfigError: It is not.
    """
    if not is_number(value) or value < 0:
        raise ConfigError(
            f'{owner}: {name} must be a number of at least 0, {got(value)}.'
        )
    return value


def share(owner: str, name: str, value: float) -> float:
    """Return ``value`` if it is a number from 0 to 1.

    Raises:
        ConfigError: It is not.
    """
    if not is_number(value) or not 0 <= value <= 1:
        raise ConfigError(f'{owner}: {name} must be from 0 to 1, got {value!r}.')
    return value


def flag(owner: str, name: str, value: bool) -> bool:
    """Return ``value`` if it is True or False, and not, say, ``'False'``.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(value, bool):
        raise ConfigError(f'{owner}: {name} must be True or False, got {value!r}.')
    return value


def not_all_zero(owner: str, **weights: float) -> None:
    """Refuse weights of parts that are all zero: the loss would be.

    Raises:
        ConfigError: They are.
    """
    if not any(weights.values()):
        every = 'both' if len(weights) == 2 else 'all'
        raise ConfigError(
            f'{owner}: {" and ".join(weights)} are {every} 0, so there is nothing to '
            'learn; set one above 0, or take the loss out.'
        )


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
    for student, teacher in zip(inputs.student, inputs.teacher):
        if student[1] != teacher[1]:
            raise ConfigError(
                f'{inputs.where}: the student has {student[1]} channels and the '
                f'teacher {teacher[1]} (shapes {student} and {teacher}); give '
                f'on=dict(student=..., teacher=..., adapter={adapter}).'
            )


def network_of(inputs: LossInputs, what: str) -> nn.Module:
    """Return the teacher's network, for a loss that reads more of it than it puts out.

    Args:
        inputs (LossInputs): What will be compared.
        what (str): What is read, for the message.

    Raises:
        ConfigError: The loss is used alone, where there is none.
    """
    if inputs.source is None:
        raise ConfigError(
            f"{inputs.where}: it reads {what} of the teacher's network, which is not "
            'known to a loss that is used alone; use it in the losses of a Distiller.'
        )
    return inputs.source.model
