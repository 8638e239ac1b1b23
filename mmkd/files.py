"""Files that a kill leaves whole.

All that mmkd writes goes through :func:`write_bytes`. What cannot be written is one
sentence, and what was there before stays.
"""

import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Optional, Union

from mmkd.errors import DamagedError, DataError, OutputError

#: What only a write can meet, by its number: what it means, and what to do.
REASONS = {
    errno.ENOSPC: ('the disk is full', 'free some space'),
    errno.EDQUOT: ('your share of the disk is used up', 'free some space'),
    errno.EROFS: ('the disk is read-only', 'make it writable'),
    errno.EFBIG: ('the file would be larger than is allowed here', 'raise that limit'),
}
TRIED = bytes(2**16)  # what has to fit where something is to be written


def write_bytes(path: Union[str, Path], data: bytes) -> None:
    """Write a file in one step: others see the old one or the new one.

    Its folder is made. What is neither a file nor missing, such as ``/dev/null``, is
    written to as it is.

    Raises:
        OutputError: It cannot be written. What was there before still is.
    """
    path = Path(path)
    with writable(path, len(data)):
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, 'wb') as file:
                file.write(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f'{path.name}.part')
        try:
            with _new_file(part) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def write_text(path: Union[str, Path], text: str) -> None:
    """Write text in one step, as UTF-8."""
    write_bytes(path, text.encode('utf-8'))


def write_json(path: Union[str, Path], value: Any) -> None:
    """Write JSON in one step."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def check_writable(path: Union[str, Path]) -> None:
    """Try whether a file can be written, before the work that it is the result of.

    Nothing is left behind: a folder that is missing is not made, and a file that is
    there stays as it is.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(path)
    with writable(path, len(TRIED)):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.exists(path) and not os.path.isfile(path):
            return
        folder = path.parent
        while not _is_there(folder):
            folder = folder.parent
        _is_there(path)  # raises what is wrong with its name
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(TRIED)


@contextmanager
def writable(path: Union[str, Path], size: Optional[int] = None) -> Iterator[None]:
    """Make an :class:`OutputError` of what the system says while a path is written.

    Args:
        path (str or Path): File or folder.
        size (int, optional): How many bytes, for the message. Defaults to unknown.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise output_error(error, path, size) from error


def output_error(
    error: OSError, path: Union[str, Path, None] = None, size: Optional[int] = None
) -> OutputError:
    """Say in one sentence why something could not be written, and what to do.

    An error whose ``errno`` is a key of :data:`REASONS` comes from a write, whoever
    made it.

    Args:
        error (OSError): What the system said.
        path (str or Path, optional): What was to be written. Defaults to what the
            error names, if it does.
        size (int, optional): How many bytes. Defaults to unknown.
    """
    path = error.filename if path is None else path
    reason, advice = REASONS.get(error.errno, (None, 'choose another place'))
    if reason is None:
        reason = _reason(error, path)
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason += f' ({_space(path, size)})'
    what = 'A file' if path is None else path
    return OutputError(f'{what} cannot be written: {reason}; {advice}.')


def read_json(path: Path) -> Any:
    """Return what is in a JSON file, or an empty dict where there is none.

    Raises:
        DataError: It cannot be read.
        DamagedError: It is no whole JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}.') from error
    except (ValueError, RecursionError) as error:  # of JSON and of UTF-8
        raise DamagedError(
            f'{path} is damaged (no whole JSON: {error}); delete it, and make it again.'
        ) from error


def _new_file(path: Path) -> BinaryIO:
    """Create a file; one that a kill left, or a link that somebody put, is removed."""
    with suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return open(os.open(path, flags, 0o666), 'wb')


def _is_there(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _reason(error: OSError, path) -> str:
    """Name what is in the way, which the system does not."""
    if path is not None:
        for above in Path(path).absolute().parents:
            if os.path.lexists(above) and not os.path.isdir(above):
                return f'{above} is not a folder'
        if os.path.isdir(path):
            return 'it is a folder, not a file'
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            return 'it is a file, not a folder'
    return (error.strerror or str(error)).lower()


def _space(path, size: Optional[int]) -> str:
    """Say how much is needed and free where a path lies."""
    place = Path('.' if path is None else path).absolute()
    while not os.path.exists(place):
        place = place.parent
    free = f'{shutil.disk_usage(place).free / 1e6:.1f} MB free'
    return free if size is None else f'{size / 1e6:.1f} MB needed, {free}'
