"""The parts of a data set."""

from typing import Sequence

from mmkd.errors import ConfigError


def check_split(owner: str, split: str, known: Sequence[str]) -> None:
    """Check the name of a part.

    Args:
        owner (str): The data set, for the message.
        split (str): What was asked for.
        known (Sequence[str]): The parts that there are.

    Raises:
        ConfigError: It is none of them.
    """
    if split not in known:
        raise ConfigError(
            f'{owner}: split={split!r}, but it must be {" or ".join(map(repr, known))}.'
        )
