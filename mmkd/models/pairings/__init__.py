"""Pairings, and how ``on=`` finds one."""

import difflib
from typing import Optional, Tuple, Union

from torch import nn

from mmkd.construct import construct
from mmkd.errors import ConfigError

from ..taps import find_module
from .base import Aligned, Pairing
from .classification import ClassificationPairing
from .modules import ModulePairing
from .roi import RoIPairing

__all__ = [
    'Aligned',
    'ClassificationPairing',
    'ModulePairing',
    'Pairing',
    'RoIPairing',
    'build_pairing',
]

FAMILIES = (ClassificationPairing, RoIPairing)
NAMES = {name: family for family in FAMILIES for name in family.names}


def build_pairing(
    on: Union[str, dict], student: nn.Module, teacher: nn.Module
) -> Tuple[Pairing, Optional[object]]:
    """Make the pairing that a loss's ``on=`` asks for, and its adapter's spec.

    Args:
        on (str | dict): A pairing's name; a module path; ``dict(pairing=NAME, ...)``
            with the pairing's options; or ``dict(student=PATH, teacher=PATH,
            adapter='auto' | None | dict)``.
        student (nn.Module): The student.
        teacher (nn.Module): The teacher.

    Returns:
        tuple: The pairing, and the adapter's spec.

    Raises:
        ConfigError: ``on`` fits none of these.
    """
    if isinstance(on, str):
        on = dict(pairing=on) if on in NAMES else dict(student=on)
    if not isinstance(on, dict) or not ('pairing' in on or 'student' in on):
        raise ConfigError(
            f'on={on!r} must be one of {", ".join(NAMES)}, a module path, a dict with '
            'pairing=, or a dict with student= and teacher=.'
        )
    options = dict(on)
    if 'pairing' in options:
        name = options.pop('pairing')
        if name not in NAMES:
            raise ConfigError(
                f'on: unknown pairing {name!r}; known: {", ".join(NAMES)}.'
            )
        family = NAMES[name]
        return construct(
            f'on={name!r}', family, name, student, teacher, **options
        ), None
    path = options.pop('student')
    other = options.pop('teacher', path)
    adapter = options.pop('adapter', 'auto')
    if options:
        raise ConfigError(
            f'on={dict(on)}: unknown keys {", ".join(options)}; a module pairing has '
            'student, teacher and adapter.'
        )
    try:
        find_module(student, path, 'student')
    except ConfigError as error:
        close = difflib.get_close_matches(path, NAMES, n=1)
        meant = f'; did you mean {close[0]!r}?' if close else ''
        raise ConfigError(
            f'on={path!r} is no pairing ({", ".join(NAMES)}), and {error}'.rstrip('.')
            + (meant or '.')
        ) from None
    return ModulePairing(path, other, student, teacher), adapter
