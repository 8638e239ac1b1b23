"""Names of a package that are imported when they are first asked for (PEP 562)."""

import sys
from importlib import import_module
from typing import Any, Callable, List, Tuple


def lazy_attributes(
    package: str, *modules: str, **origins: str
) -> Tuple[Callable[[str], Any], Callable[[], List[str]]]:
    """Make a package's ``__getattr__`` and ``__dir__``.

    Type checkers read the same names under ``if TYPE_CHECKING:``.

    Args:
        package (str): The package's ``__name__``.
        *modules (str): Modules in it that are attributes before anybody imports them.
        **origins (str): Other names, and the module that each is defined in.
    """

    def __getattr__(name: str) -> Any:
        if name in modules:
            return import_module(f'{package}.{name}')
        if name not in origins:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        value = getattr(import_module(origins[name]), name)
        # The next time it is found as any attribute is.
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> List[str]:
        return sorted({*vars(sys.modules[package]), *modules, *origins})

    return __getattr__, __dir__
