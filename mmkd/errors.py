"""Errors that a user can act on: one sentence that says what, and what to do.

The tools print these without a traceback.
"""


class MMKDError(Exception):
    """Base of every error that mmkd raises about its user's input."""


class ConfigError(MMKDError, ValueError):
    """A config asks for something that does not exist or does not fit."""


class CheckpointError(MMKDError, RuntimeError):
    """A checkpoint is missing, damaged, untrusted or of another model."""


class DataError(MMKDError, ValueError):
    """A data set is missing, unreadable or not of the expected layout."""


class NonFiniteLossError(MMKDError, FloatingPointError):
    """A distillation loss is NaN or infinite."""
