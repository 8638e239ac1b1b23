"""Errors that a user can act on: one sentence that says what, and what to do.

The tools print these without a traceback. What other packages raise becomes one of
them in :func:`explained`, at the few places where it comes in: where a config is read,
a network built or tried, data opened, a file written.
"""

from contextlib import contextmanager
from typing import Iterator, Type


class MMKDError(Exception):
    """Base of every error that mmkd raises about its user's input."""


class ConfigError(MMKDError, ValueError):
    """A config asks for something that does not exist or does not fit."""


class MisfitError(ConfigError):
    """Student and teacher put out other numbers of tensors, or other shapes."""


class CheckpointError(MMKDError, RuntimeError):
    """A checkpoint is missing, damaged, untrusted or of another model."""


class DataError(MMKDError, ValueError):
    """A data set is missing, unreadable or not of the expected layout."""


class DamagedError(DataError):
    """A file of mmkd's own is not whole, or holds what it cannot."""


class OutputError(MMKDError, OSError):
    """A file or a folder cannot be written."""


class NonFiniteLossError(MMKDError, FloatingPointError):
    """A loss, or a weight that was trained, is NaN or infinite."""


@contextmanager
def explained(
    what: str, advice: str, kind: Type[MMKDError] = ConfigError
) -> Iterator[None]:
    """Make one sentence of what another package raises in here.

    Errors of mmkd's own pass as they are. The original is the cause of the new one.

    Args:
        what (str): Whose network, which config or which argument it is about, such as
            ``"the teacher's network cannot be built"``.
        advice (str): What to do, without a full stop.
        kind (type[MMKDError]): What to raise. Defaults to :class:`ConfigError`.

    Raises:
        MMKDError: Of that kind; what, the original's type and first line, advice.
    """
    try:
        yield
    except MMKDError:
        raise
    except Exception as error:
        raise kind(f'{what} ({first_line(error)}); {advice}.') from error


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin mmkd's own errors in here with what they are about, if they do not say it.

    Args:
        what (str): Such as the name of a loss, or the path of a config.

    Raises:
        MMKDError: Of the same kind.
    """
    try:
        yield
    except MMKDError as error:
        if what in str(error):
            raise
        raise type(error)(f'{what}: {error}') from error


def first_line(error: BaseException) -> str:
    """Return an exception's type and the first line of what it says."""
    text = next(iter(str(error).strip().splitlines()), '').strip().rstrip('.')
    return f'{type(error).__name__}: {text}' if text else type(error).__name__
