"""Finding the pairing that ``on=`` names."""

import difflib
from typing import Optional, Sequence, Tuple, Union

from torch import nn

from mmkd.construct import construct
from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..available import UnsuitedError, what_there_is
from ..taps import find_module
from .base import Pairing
from .modules import ModulePairing


def build_pairing(
    on: Union[str, Sequence[str], dict],
    student: nn.Module,
    teacher: nn.Module,
    resize: Optional[str] = None,
) -> Tuple[Pairing, Optional[object]]:
    """Make the pairing that a loss's ``on=`` asks for, and its adapter's spec.

    Args:
        on (str | list[str] | dict): A pairing's name; a module path, or several;
            ``dict(pairing=NAME, ...)`` with the pairing's options; or
            ``dict(student=PATH, teacher=PATH, adapter='auto' | None | dict,
            resize='student' | 'teacher' | None)``, again with a list for several
            modules; see :class:`ModulePairing`.
        student (nn.Module): The student.
        teacher (nn.Module): The teacher.
        resize (str, optional): Of modules, where ``on`` says none.

    Returns:
        tuple: The pairing, and the adapter's spec.

    Raises:
        ConfigError: ``on`` fits none of these.
    """
    known = PAIRINGS.module_dict
    if isinstance(on, str) and on in known:
        on = dict(pairing=on)
    elif isinstance(on, (str, list, tuple)) and on:
        on = dict(student=on)
    if not isinstance(on, dict) or not ('pairing' in on or 'student' in on):
        raise ConfigError(
            f'on={on!r} must be one of {", ".join(known)}, a module path or a list of '
            'them, a dict with pairing=, or a dict with student= and teacher=.'
        )
    options = dict(on)
    if 'pairing' in options:
        name = options.pop('pairing')
        if not isinstance(name, str) or name not in known:
            raise ConfigError(
                f'on: unknown pairing {name!r}; known: {", ".join(known)}.'
            )
        adapter = options.pop('adapter', None)
        where = f'on={name!r}'
        try:
            pairing = construct(where, known[name], name, student, teacher, **options)
        except UnsuitedError as error:
            raise ConfigError(f'{error}; {what_there_is(student, teacher)}.') from None
        return pairing, adapter
    paths = _listed(options.pop('student'))
    teacher_paths = _listed(options.pop('teacher', paths))
    adapter = options.pop('adapter', 'auto')
    resize = options.pop('resize', resize)
    if options:
        raise ConfigError(
            f'on={dict(on)}: unknown keys {", ".join(options)}; a module pairing has '
            'student, teacher, adapter and resize.'
        )
    for path in [*paths, *teacher_paths]:
        if not isinstance(path, str):
            raise ConfigError(f'on={dict(on)}: {path!r} is no name of a module.')
    for path in paths:
        _find_or_suggest(path, student)
    return ModulePairing(paths, teacher_paths, student, teacher, resize), adapter


def _listed(paths):
    if isinstance(paths, (list, tuple)) and paths:
        return list(paths)
    return [paths]


def _find_or_suggest(path, student):
    try:
        find_module(student, path, 'student')
    except ConfigError as error:
        known = PAIRINGS.module_dict
        close = difflib.get_close_matches(path, known, n=1)
        meant = f'; did you mean {close[0]!r}?' if close else ''
        raise ConfigError(
            f'on={path!r} is no pairing ({", ".join(known)}), and {error}'.rstrip('.')
            + (meant or '.')
        ) from None
