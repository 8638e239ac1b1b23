"""Doing something to a package once it is imported, without importing it."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Callable, Optional


class AfterImport(MetaPathFinder):
    """Lets the other finders find one module, and acts when it has been executed.

    What the action raises, the import raises, and the module does not stay imported.
    """

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self.name, self.action = name, action

    def find_spec(self, name, path=None, target=None) -> Optional[ModuleSpec]:
        """See :class:`importlib.abc.MetaPathFinder`; None for any other module."""
        if name != self.name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            self._act_after(spec.loader)
        return spec

    def _act_after(self, loader) -> None:
        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # it is the class's again
            loader.exec_module(module)
            self.action()

        loader.exec_module = exec_module


def after_import(name: str, action: Callable[[], None]) -> None:
    """Call ``action`` once a module is imported: now, if it is already.

    Args:
        name (str): The module's full name.
        action (Callable): Takes nothing. May be called again after a reload.
    """
    if name in sys.modules:
        action()
    elif not any(getattr(finder, 'name', None) == name for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterImport(name, action))
