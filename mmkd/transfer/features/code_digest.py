"""What tells whether code is what it was: the text of files, versions of libraries."""

import ast
import importlib.metadata
import importlib.util
import inspect
import sys
import sysconfig
import uuid
from hashlib import blake2b
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, Iterator, NamedTuple, Optional

from mmengine.logging import print_log

#: What features go through; their versions count, wherever they lie.
LIBRARIES = (
    'torch',
    'torchvision',
    'numpy',
    'PIL',
    'cv2',
    'mmengine',
    'mmcv',
    'mmpretrain',
    'mmdet',
)
#: Where installed packages lie, and what comes with Python.
INSTALLED = {'site-packages', 'dist-packages'}
STANDARD = (sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib'))


class _File(NamedTuple):
    """What a module was loaded from."""

    digest: str
    imports: FrozenSet[str] = frozenset()  # files that count with it
    libraries: FrozenSet[str] = frozenset()  # whose versions count with it
    spec: Any = None  # of the module then


# Python runs what it loaded, whatever was written since. So a file is read once, and
# again where its module was reloaded, which gives the module another spec.
_FILES: Dict[str, _File] = {}


def code_digest(*objects: object, alone: Iterable[object] = ()) -> str:
    """Return a digest of the code behind some objects.

    It is of the files that define them: functions, or classes and what these inherit
    from. mmkd's files, and those that are neither Python's nor installed, count with
    all such files that they import, and these with theirs. Of :data:`LIBRARIES`, and
    of others that a file is in or imports, the version counts. The digest is the same
    in another process, whatever else was imported there.

    Args:
        *objects: Functions, classes or instances.
        alone (Iterable): More of them, of which only their own files count.

    Returns:
        str: Hexadecimal. Of code that lies in no file, as in a notebook, nothing tells
        whether it changed: it has another digest at every call.
    """
    files: Dict[str, _File] = {}
    coming = list(_definers(objects))
    while coming:
        name = coming.pop()
        if name not in files:
            files[name] = _read(name)
            coming += files[name].imports
    for name in _definers(alone):
        files.setdefault(name, _read(name))
    libraries = set(LIBRARIES).union(*(file.libraries for file in files.values()))
    lines = [f'{name} {files[name].digest}' for name in sorted(files)]
    lines += [f'{name} {_version(name)}' for name in sorted(libraries)]
    return _digest('\n'.join(lines).encode())


def _definers(objects) -> Iterator[str]:
    """Name the modules that define objects."""
    for each in objects:
        kind = each if inspect.isclass(each) else type(each)
        definers = (each,) if inspect.isfunction(each) else kind.__mro__
        yield from (definer.__module__ for definer in definers if definer is not object)


def _read(name: str) -> _File:
    spec = getattr(sys.modules.get(name), '__spec__', None)
    if name in sys.modules and name in _FILES and _FILES[name].spec is spec:
        return _FILES[name]
    path, package = _path(name), _package(name)
    if path is not None and not Path(path).is_file():  # in an archive, or gone
        path = None
    if path is None and package not in (*LIBRARIES, *sys.builtin_module_names):
        print_log(
            f'The code of {name} lies in no file, so nothing tells whether it changed: '
            'features are computed anew.',
            'current',
        )
        return _File(uuid.uuid4().hex)
    if not _is_own(name):
        text = Path(path).read_bytes() if path and path.endswith('.py') else b''
        file = _File(_digest(text), libraries=frozenset([package]), spec=spec)
    else:
        text = Path(path).read_bytes()
        imported = set(_imported(name, path, text)) if path.endswith('.py') else set()
        imports = frozenset(filter(_is_own, imported))
        libraries = frozenset(map(_package, filter(_is_library, imported)))
        file = _File(_digest(text), imports, libraries, spec)
    _FILES[name] = file
    return file


def _imported(name: str, path: str, text: bytes) -> Iterator[str]:
    """Name what a file imports, now or later; some of the names are no modules'."""
    try:
        tree = ast.parse(text)
    except SyntaxError:  # nobody has loaded it, nor ever will
        return
    package = name if path.endswith('__init__.py') else name.rpartition('.')[0]
    package = getattr(sys.modules.get(name), '__package__', None) or package
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = '.' * node.level + (node.module or '')
            module = importlib.util.resolve_name(relative, package)
            yield from (module, *(f'{module}.{alias.name}' for alias in node.names))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through the statements, where imports are, and not their expressions."""
    yield node
    for part in ('body', 'orelse', 'handlers', 'finalbody', 'cases'):
        for statement in getattr(node, part, ()):
            yield from _statements(statement)


def _is_own(name: str) -> bool:
    """Tell whether a module's file may change while no version does."""
    path = None if _package(name) in LIBRARIES else _path(name)
    if path is None or _package(name) == 'mmkd':
        return path is not None
    return not _is_installed(path) and not path.startswith(STANDARD)


def _is_library(name: str) -> bool:
    path = _path(_package(name))
    return path is not None and _package(name) != 'mmkd' and _is_installed(path)


def _is_installed(path: str) -> bool:
    return not INSTALLED.isdisjoint(Path(path).parts)


def _path(name: str) -> Optional[str]:
    """Return the file of a module; None where it has none, or is none."""
    if name in sys.modules:
        return getattr(sys.modules[name], '__file__', None)
    package = _package(name)
    try:
        spec = importlib.util.find_spec(package)
        installed = spec is None or _is_installed(spec.origin or '')
        if package == 'mmkd' or not installed:
            spec = importlib.util.find_spec(name)  # imports the packages around it
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None and spec.has_location else None


def _package(name: str) -> str:
    return name.partition('.')[0]


def _version(library: str) -> str:
    version = getattr(sys.modules.get(library), '__version__', None)
    try:
        return version or importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
