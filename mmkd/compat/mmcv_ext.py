"""A stand-in for mmcv's compiled extension, where mmcv-lite is installed.

``mmcv.ops`` asserts on import that ``mmcv._ext`` has every operator it may ever
call (``mmcv/utils/ext_loader.py``), and mmdet imports ``mmcv.ops``: without the
extension mmdet cannot even be imported
(https://github.com/open-mmlab/mmdetection/issues/11475), and compiling it takes half
an hour. The stand-in has every name; the operators of :mod:`mmkd.compat.mmcv_ops`
work and any other raises an error that says how to get it.

A compiled mmcv is left alone. Delete this when mmdet imports beside mmcv-lite.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Optional

NAME = 'mmcv._ext'


class StandInLoader(Loader):
    """Fills the module; also what ``mmcv.utils.check_ops_exist`` finds."""

    def exec_module(self, module: ModuleType) -> None:
        from mmkd.compat import mmcv_ops

        for name, operator in mmcv_ops.OPERATORS.items():
            setattr(module, name, operator)
        # A module-level `__getattr__` answers for all other names (PEP 562).
        module.__getattr__ = _other


def _other(name: str):
    # `__path__`, `__file__` and the like are questions about the module.
    if name.startswith('__'):
        raise AttributeError(f'module {NAME!r} has no attribute {name!r}')

    def operator(*args, **kwargs):
        from mmkd.compat.mmcv_ops import missing

        raise missing(name)

    return operator


class StandInFinder(MetaPathFinder):
    """Has ``mmcv._ext`` for those who find it nowhere else."""

    def find_spec(self, name, path=None, target=None) -> Optional[ModuleSpec]:
        """See :class:`importlib.abc.MetaPathFinder`; None for any other module."""
        if name != NAME:
            return None
        return ModuleSpec(NAME, StandInLoader(), origin='mmkd.compat.mmcv_ext')


def install() -> None:
    """Let Python find the stand-in where mmcv brings no extension."""
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        # The last to be asked.
        sys.meta_path.append(StandInFinder())


def in_use() -> bool:
    """Tell whether ``mmcv._ext`` is the stand-in, and mmcv is mmcv-lite."""
    return isinstance(find_spec(NAME).loader, StandInLoader)
