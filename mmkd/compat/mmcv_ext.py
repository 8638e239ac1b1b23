"""A stand-in for mmcv's compiled extension, where mmcv-lite is installed.

``mmcv.ops`` asserts on import that ``mmcv._ext`` has every operator it may ever
call (``mmcv/utils/ext_loader.py``), and mmdet imports ``mmcv.ops``: without the
extension mmdet cannot even be imported
(https://github.com/open-mmlab/mmdetection/issues/11475), and compiling it takes half
an hour. The stand-in has every name; the operators of :mod:`mmkd.compat.mmcv_ops`
work and any other raises an error that says how to get it.

A compiled mmcv is left alone. Delete this when mmdet imports beside mmcv-lite.
"""

import importlib
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType

from mmkd.compat import mmcv_ops

NAME = 'mmcv._ext'


class StandInLoader(Loader):
    """Fills the module; also what ``mmcv.utils.check_ops_exist`` finds."""

    def exec_module(self, module: ModuleType) -> None:
        for name, operator in mmcv_ops.OPERATORS.items():
            setattr(module, name, operator)
        # A module-level `__getattr__` answers for all other names (PEP 562).
        module.__getattr__ = _other


def _other(name: str):
    # `__path__`, `__file__` and the like are questions about the module.
    if name.startswith('__'):
        raise AttributeError(f'module {NAME!r} has no attribute {name!r}')

    def operator(*args, **kwargs):
        raise mmcv_ops.missing(name)

    return operator


def install() -> bool:
    """Put the stand-in into ``sys.modules`` unless mmcv brings its extension.

    Returns:
        bool: Whether the stand-in is in use.
    """
    spec = find_spec(NAME)
    if spec is None:
        spec = ModuleSpec(NAME, StandInLoader(), origin='mmkd.compat.mmcv_ext')
        sys.modules[NAME] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
        importlib.import_module('mmcv')._ext = sys.modules[NAME]
    return isinstance(spec.loader, StandInLoader)
