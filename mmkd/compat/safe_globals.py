"""The classes and functions that a checkpoint of MMEngine may name.

A pickle runs whatever it names, so this list is short and nothing on it runs code of
the file. PyTorch's own list (tensors, ``OrderedDict``, ...) comes on top of it.
"""

import _codecs
import pickle
from collections import Counter
from typing import Any, Callable

import numpy as np
from mmengine.logging import HistoryBuffer

try:
    from numpy._core import multiarray
except ModuleNotFoundError:  # numpy 1
    from numpy.core import multiarray


def _statistic(owner: Any, name: str) -> Callable:
    """What a checkpoint gets for ``getattr``: a method of ``HistoryBuffer``.

    Each log history is saved with its four statistics (``HistoryBuffer.__getstate__``)
    and Python pickles such a method as ``getattr(HistoryBuffer, 'mean')``.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'Unsupported global: GLOBAL getattr of {name!r}')


#: By the name in the file. Arrays are saved under the module path of the numpy that
#: saved them, whichever numpy reads them.
SAFE_GLOBALS = {
    'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
    'builtins.getattr': _statistic,
    'collections.Counter': Counter,  # milestones; torch < 2.6 does not allow it
    '_codecs.encode': _codecs.encode,  # how protocol 2 writes an array's bytes
    'numpy.ndarray': np.ndarray,
    'numpy.dtype': np.dtype,
    **{
        f'{module}.{function.__name__}': function
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
        for function in (multiarray._reconstruct, multiarray.scalar)
    },
    # The types of dtypes, since PyTorch checks an object's type before it sets its
    # state: booleans, integers, floats, complex numbers and strings, not objects.
    **{
        f'numpy.dtypes.{type(np.dtype(code)).__name__}': type(np.dtype(code))
        for code in '?bBhHiIlLqQefdgFDGSU'
    },
}
