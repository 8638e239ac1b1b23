"""What an exception says to a user, in one sentence."""

import difflib
import errno
import traceback
from typing import Any, Iterator, List, Optional, Tuple

from mmengine.registry import OPTIMIZERS

from mmkd.configs import type_of
from mmkd.errors import MMKDError, first_line
from mmkd.files import REASONS, output_error

#: Why the path of a file cannot be written or read.
PATH = (
    *(errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ENOENT),
)
#: How torch begins where memory of a CPU is over.
NO_MEMORY = '[enforce fail at alloc_cpu'
#: How MMEngine says that a config is no Python when written out.
NO_TEXT = 'Failed to format the config file'
#: Files of MMEngine, by the end of their paths.
BUILDERS = 'mmengine/registry/build_functions.py'
OPTIMIZER = 'mmengine/optim/optimizer/default_constructor.py'
RUNNER = 'mmengine/runner/'
#: Of the Runner, lines that refuse what it was given, and functions that read it.
REFUSING = ('raise ', 'assert ')
SETTING_UP = ('build_', 'set_', 'setup_', '__init__', 'from_cfg')
#: Most characters of another package's message.
LONGEST = 300


def sentence(error: BaseException) -> Optional[str]:
    """Return what a user reads of an exception; None where only a traceback tells.

    Errors of mmkd are sentences already. Those of a file, of memory, and of MMEngine
    where it builds a part of a config or refuses it become some here.

    Args:
        error (BaseException): As it was caught, with its traceback.
    """
    if isinstance(error, MMKDError):
        return _own(error)
    if isinstance(error, OSError):
        return _of_file(error)
    if isinstance(error, MemoryError) or _out_of_memory(error):
        return (
            f'there is not enough memory ({_short(error)}); lower the batch size or '
            'the size of images.'
        )
    if isinstance(error, SyntaxError) and NO_TEXT in str(error):
        return (
            'the config cannot be written as text, since a value in it is an object, '
            'such as a function; give that by its name, or build it where it is used.'
        )
    error = _origin(error)
    return _of_part(error) or _of_runner(error)


def _own(error: MMKDError) -> str:
    """Return what it says; a data loader's worker puts its traceback before that."""
    text = str(error)
    if text.startswith('Caught '):
        text = text.rstrip().rsplit('\n', 1)[-1].partition(': ')[2]
    return text


def _of_file(error: OSError) -> Optional[str]:
    path = error.filename
    if error.errno not in REASONS and (error.errno not in PATH or path is None):
        return None
    if error.errno in REASONS:
        return str(output_error(error))
    return f'{path} cannot be written or read ({error.strerror}); give another path.'


def _out_of_memory(error):
    # Its class without importing torch; its name is that of CUDA's.
    return type(error).__name__ == 'OutOfMemoryError' or str(error).startswith(
        NO_MEMORY
    )


def _of_part(error) -> Optional[str]:
    """Say which part of a config could not be built, if that is where it arose."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = [(frame, *_built(frame)) for frame in frames if _built(frame)]
    if not built:
        return None
    frame, part, registry = built[-1]
    kind = type_of(part) if isinstance(part, dict) else ''
    where = next(_places(_whole(frames), part), None) if kind else None
    named = f'{where} ({kind})' if where else kind or 'a part of the config'
    why = _short(error)
    if isinstance(part, dict) and not kind:
        why = 'it has no type'
    elif isinstance(part, dict) and isinstance(part['type'], str):
        with registry.switch_scope_and_registry(part.get('_scope_')) as own:
            why = why if own.get(part['type']) else _unknown(kind, own)
    return f'{named} cannot be built: {why}; correct it in the config.'


def _built(frame) -> Optional[tuple]:
    """Return what a function of MMEngine builds, and the registry of its kind."""
    file = frame.f_code.co_filename.replace('\\', '/')
    if file.endswith(BUILDERS):
        return frame.f_locals.get('cfg'), frame.f_locals['registry']
    if file.endswith(OPTIMIZER) and frame.f_code.co_name == '__call__':
        return frame.f_locals['self'].optimizer_cfg, OPTIMIZERS
    return None


def _origin(error):
    """Return what arose in a hook: MMEngine raises it again without its place."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    hook = last and last[0].name == 'call_hook' and error.__context__ is not None
    return error.__context__ if hook else error


def _whole(frames) -> Any:
    """Return the config that is being built, from the Runner's frames."""
    for frame in frames:
        cfg = getattr(frame.f_locals.get('self'), 'cfg', None)
        if hasattr(cfg, '_cfg_dict'):
            return cfg._cfg_dict
    return {}


def _places(node: Any, part: dict, path: str = '') -> Iterator[str]:
    """Give the places in a config of what a part was built of, inner ones first.

    What builds it may have added arguments, and built what is in it.
    """
    inside: List[Tuple[str, Any]] = []
    if isinstance(node, dict):
        inside = [(f'{path}.{key}' if path else key, node[key]) for key in node]
    elif isinstance(node, (list, tuple)):
        inside = [(f'{path}[{index}]', each) for index, each in enumerate(node)]
    for inner, each in inside:
        yield from _places(each, part, inner)
    if isinstance(node, dict) and 'type' in node and path:
        plain = [key for key in node if not isinstance(node[key], (dict, list, tuple))]
        if all(key in part and part[key] == node[key] for key in plain):
            yield path


def _unknown(kind: str, registry) -> str:
    names = {name for each in _family(registry) for name in each.module_dict}
    close = difflib.get_close_matches(kind.rpartition('.')[2], names, n=1, cutoff=0.6)
    hint = f', did you mean {close[0]}?' if close else ''
    return f'there is no {registry.name.replace("_", " ")} of this name{hint}'


def _family(registry) -> Iterator[Any]:
    while registry is not None:
        yield registry
        registry = registry.parent


def _of_runner(error) -> Optional[str]:
    """Return what MMEngine's Runner says where it refuses what it was given."""
    (last,) = traceback.extract_tb(error.__traceback__)[-1:] or [None]
    if last is None or RUNNER not in last.filename.replace('\\', '/'):
        return None
    if last.line.startswith(REFUSING) or last.name.startswith(SETTING_UP):
        return f"MMEngine's Runner refuses the config: {_short(error)}; correct it."
    return None


def _short(error) -> str:
    text = first_line(error)
    return text if len(text) <= LONGEST else f'{text[:LONGEST]}...'
