"""What a pickle gets in place of numpy's and MMEngine's own: data, checked and copied.

The constructors and ``__setstate__`` of numpy trust their arguments: a file that may
choose them reads and writes memory that is not its own. So a file makes :class:`Array`,
:class:`DType` and :class:`History` instead, which take a state, once, and only one
that is whole; :func:`plain` puts the real objects in their places after the load.
"""

import math
import pickle
import re
from typing import Any, Dict, Optional, Tuple

import numpy as np
from mmengine.logging import HistoryBuffer


class _StandIn:
    """Takes no arguments and one state; ``value`` is what it stands for."""

    #: What a file calls it.
    name: str
    value: Any = None

    # A key of a dict would be out of the reach of `plain`.
    __hash__ = None

    def __new__(cls, *args):
        if args:
            raise _refused(f'{cls.name} (called directly)')
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        if self.value is not None:
            raise _refused(f'{self.name} (set twice)')
        self.value = self._checked(state)


class Array(_StandIn):
    """Stands for an array of numbers, booleans or text."""

    name = 'numpy.ndarray'

    def _checked(self, state: Any) -> np.ndarray:
        _, shape, dtype, fortran, data = state  # of pickle's version 1, the only one
        if not isinstance(dtype, DType):
            raise _refused('numpy.ndarray (of no dtype)')
        return _array(shape, dtype.value, data, 'F' if fortran else 'C')


class DType(_StandIn):
    """Stands for a dtype of numbers, booleans or text, given by its name."""

    name = 'numpy.dtype'

    def __new__(cls, name: str, align: bool = False, copy: bool = True):
        # Kind and bytes, or a letter: no fields, no shape.
        if not isinstance(name, str) or not re.fullmatch(r'[<>=|]?[a-zA-Z?]\d*', name):
            raise _refused('numpy.dtype (not by name)')
        dtype = np.dtype(name)
        if dtype.kind not in 'biufcSU':
            raise _refused(f'numpy.dtype (of {dtype.name})')
        new = super().__new__(cls)
        new.value = dtype
        return new

    def __setstate__(self, state: Any) -> None:
        _, order, *parts = state  # of parts, sizes and flags, the name knows the last
        if order not in ('<', '>', '=', '|') or parts[:3] != [None, None, None]:
            raise _refused('numpy.dtype (of parts)')
        self.value = self.value.newbyteorder(order)


class History(_StandIn):
    """Stands for MMEngine's log of one value: two arrays and a length.

    A ``HistoryBuffer`` brings its statistics with it, and its ``__setstate__`` makes
    them those of the whole process. They are left out: each process has its own.
    """

    name = 'mmengine.logging.history_buffer.HistoryBuffer'

    def _checked(self, state: Any) -> HistoryBuffer:
        logs, counts = plain(state['_log_history']), plain(state['_count_history'])
        length = state['max_length']
        for array in (logs, counts):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in 'biuf':
                raise _refused(f'{self.name} (of no numbers)')
        if not logs.ndim == counts.ndim == 1 or len(logs) != len(counts):
            raise _refused(f'{self.name} (of arrays that do not fit)')
        if type(length) is not int or length < 1:
            raise _refused(f'{self.name} (of no length)')
        return HistoryBuffer(logs, counts, length)


def reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    """Stand for numpy's ``_reconstruct``: an array that waits for its state."""
    if kind is not Array or shape != (0,) or code not in ('b', b'b'):
        raise _refused('numpy.ndarray (not empty)')
    return Array()


def scalar(dtype: Any, data: Any) -> Any:
    """Stand for numpy's ``scalar``: a number, a boolean or text."""
    if not isinstance(dtype, DType):
        raise _refused('numpy.ndarray (of no dtype)')
    return _array((), dtype.value, data)[()]


def statistic(owner: Any, name: Any) -> str:
    """Stand for ``getattr``, as which Python pickles a history's statistics."""
    if owner is not History or name not in ('min', 'max', 'mean', 'current'):
        raise _refused('builtins.getattr')
    return name


def encode(text: str, encoding: str) -> bytes:
    """Stand for ``_codecs.encode``, as which protocol 2 has bytes; imports nothing."""
    if encoding != 'latin1':
        raise _refused(f'_codecs.encode (to {encoding})')
    return text.encode('latin1')


def no_bytes() -> bytes:
    """Stand for ``bytes``, as which protocol 2 has empty ones."""
    return b''


def plain(value: Any, known: Optional[Dict[int, Tuple[Any, Any]]] = None) -> Any:
    """Return what was loaded with the real objects in place of their stand-ins.

    Args:
        value: Dicts and lists are changed in place, tuples anew.
        known (dict, optional): By id what came before, and what is in its place.

    Raises:
        pickle.UnpicklingError: A stand-in never got its state.
    """
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)][1]
    new = value
    if isinstance(value, _StandIn):
        new = value.value
        if new is None:
            raise _refused(f'{value.name} (without its state)')
    elif isinstance(value, (dict, list)):
        known[id(value)] = value, value
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            value[key] = plain(item, known)
    elif type(value) is tuple:
        items = tuple(plain(item, known) for item in value)
        if any(item is not old for item, old in zip(items, value)):
            new = items
        known[id(value)] = value, new
    return new


def _array(shape: Any, dtype: np.dtype, data: Any, order: str = 'C') -> np.ndarray:
    if not isinstance(shape, tuple) or not all(
        type(length) is int and length >= 0 for length in shape
    ):
        raise _refused('numpy.ndarray (of no shape)')
    if isinstance(data, str):  # from Python 2
        data = data.encode('latin1')
    count = math.prod(shape)
    if type(data) is not bytes or len(data) != count * dtype.itemsize:
        raise _refused('numpy.ndarray (of another size than its data)')
    if not dtype.itemsize:  # one empty text; numpy makes longer ones of it
        if count > 1:
            raise _refused('numpy.ndarray (of nothing)')
        return np.zeros(shape, dtype)
    if dtype.kind == 'U':
        codes = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if (codes > 0x10FFFF).any():
            raise _refused('numpy.ndarray (of no text)')
    return np.ndarray(shape, dtype, data, order=order).copy(order='K')


def _refused(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f'Unsupported global: GLOBAL {what}')
