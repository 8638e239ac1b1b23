"""Files of mmkd's own that say their format, and what is checked when they are read."""

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Tuple, Union

from mmkd.errors import DamagedError, DataError
from mmkd.files import read_json, write_json

#: What a value may be: types; a function that says whether it is; in a list the kind of
#: every item; in a dict, by ``str``, the kind of every value.
Kind = Union[type, Tuple[type, ...], Callable[[Any], bool], List[Any], Dict[type, Any]]
NUMBER = (int, float)


def write_record(
    path: Union[str, Path], format: str, values: Mapping[str, Any]
) -> None:
    """Write a dict as JSON that says its format, such as ``'mmkd.cell/1'``."""
    write_json(path, dict(format=format, **values))


def read_record(
    path: Path, format: str, kinds: Mapping[str, Kind], advice: str
) -> Dict[str, Any]:
    """Read what :func:`write_record` wrote, empty where there is no file.

    A file of before formats were said is taken as one of this format.

    Args:
        path (Path): The file.
        format (str): The one that is read.
        kinds (dict): What has to be there, see :func:`check`.
        advice (str): What to do with a damaged file, without a full stop.

    Raises:
        DamagedError: It is not whole, or a value is missing or of another kind.
        DataError: It is of another format, or cannot be read.
    """
    try:
        values = read_json(path)
    except DamagedError as error:
        raise DamagedError(
            f'{path} is damaged ({error.__cause__}); {advice}.'
        ) from error
    if not isinstance(values, dict):
        raise DamagedError(
            f'{path} is damaged (it holds {_shown(values)}, not an object); {advice}.'
        )
    written = values.pop('format', format)
    if written != format:
        raise DataError(
            f'{path} is of the format {written!r}, but this mmkd reads {format!r}; use '
            'the mmkd that wrote it, or another folder.'
        )
    if path.exists():
        check(values, kinds, path, advice)
    return values


def check(
    values: Mapping[str, Any], kinds: Mapping[str, Kind], path: Path, advice: str
) -> None:
    """Check the values of a file by their names; others may be there, too.

    Args:
        values (dict): What is in the file.
        kinds (dict): By name. Numbers have to be finite, and True is none.
        path (Path): The file.
        advice (str): What to do with a damaged file, without a full stop.

    Raises:
        DamagedError: A value is missing or of another kind.
    """
    for name, kind in kinds.items():
        if name not in values:
            raise DamagedError(f'{path} is damaged (it has no {name}); {advice}.')
        if not fits(values[name], kind):
            shown = _shown(values[name])
            raise DamagedError(f'{path} is damaged ({name} is {shown}); {advice}.')


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value is of a kind, see :func:`check`."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(item, kind[0]) for item in value)
    if isinstance(kind, dict):
        inner = kind[str]
        return isinstance(value, dict) and all(fits(v, inner) for v in value.values())
    if not isinstance(kind, (type, tuple)):
        return kind(value)
    if isinstance(value, bool):
        return kind is bool
    finite = not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, kind) and finite


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
