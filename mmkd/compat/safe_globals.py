"""The names that a checkpoint or a data set's pickle may use, for every reader.

A pickle runs whatever it names, so this list is short, and nothing on it takes what a
file says without a check: see :mod:`mmkd.compat.pickled`. PyTorch's own list (tensors,
``OrderedDict``, ...) comes on top of it.
"""

from collections import Counter
from contextlib import contextmanager
from typing import Any, Iterator

from torch import serialization

from mmkd.compat import pickled

#: By the name in the file. Arrays are saved under the module path of the numpy that
#: saved them, whichever numpy reads them.
SAFE_GLOBALS = {
    'mmengine.logging.history_buffer.HistoryBuffer': pickled.History,
    'builtins.getattr': pickled.statistic,
    'builtins.bytes': pickled.no_bytes,
    'mmengine.config.config.ConfigDict': dict,  # of nested class names and the like
    'collections.Counter': Counter,  # milestones; torch < 2.6 does not allow it
    '_codecs.encode': pickled.encode,
    'numpy.ndarray': pickled.Array,
    'numpy.dtype': pickled.DType,
    **{
        f'{module}.{name}': function
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
        for name, function in (
            ('_reconstruct', pickled.reconstruct),
            ('scalar', pickled.scalar),
        )
    },
}


@contextmanager
def told_to_torch() -> Iterator[None]:
    """Have ``weights_only=True`` take the list, on torch >= 2.6.

    Of what others told it, names that are on the list are left out in here: MMEngine's
    fork and advice on the web give it ``getattr`` and numpy's own constructors.
    """
    before = serialization.get_safe_globals()
    others = [entry for entry in before if _path(entry) not in SAFE_GLOBALS]
    listed = [(value, name) for name, value in SAFE_GLOBALS.items()]
    serialization.clear_safe_globals()
    serialization.add_safe_globals(others + listed)
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)


def _path(entry: Any) -> str:
    if isinstance(entry, tuple):
        return entry[1]
    return f'{entry.__module__}.{entry.__qualname__}'
