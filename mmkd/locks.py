"""A folder that one process owns."""

import errno
import fcntl
import os
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, Optional

from mmkd.errors import ConfigError
from mmkd.files import check_writable


@contextmanager
def locked(
    folder: Path,
    patience: float = 15.0,
    on_wait: Optional[Callable[[], None]] = None,
) -> Iterator[int]:
    """Own a folder, and with it every training that inherits the descriptor.

    Args:
        folder (Path): Made where it is missing.
        patience (float): Seconds to wait for the trainings of a killed run to end;
            ``math.inf`` waits for ever.
        on_wait (Callable, optional): Called once if there is something to wait for.

    Yields:
        int: File descriptor that children are to inherit.

    Raises:
        ConfigError: Another process owns it, or its ``lock`` is no file.
        OutputError: It cannot be made or written to.
    """
    check_writable(folder / 'lock')
    folder.mkdir(parents=True, exist_ok=True)
    with _lock_file(folder / 'lock') as file:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ConfigError(
                        f'{folder} is in use by another run, or by a training that '
                        'one left behind; wait for it, end it, or give another folder.'
                    ) from None
            if on_wait:
                on_wait()
                on_wait = None
            time.sleep(0.2)
        yield file.fileno()


def _lock_file(path: Path) -> BinaryIO:
    """Open a lock, which may be somebody else's doing: neither followed nor changed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = open(os.open(path, flags, 0o666), 'rb', buffering=0)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
    raise ConfigError(
        f'{path} is a link or no file, and the lock of {path.parent} has to be a file '
        'there: delete it, or give another folder.'
    )
