"""Files that a kill leaves whole, and a folder that one process owns."""

import fcntl
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from mmkd.errors import ConfigError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step: others see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    part.write_bytes(data)
    os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write text in one step, as UTF-8."""
    write_bytes(path, text.encode('utf-8'))


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def read_json(path: Path) -> dict:
    """Return what is in a JSON file, or an empty dict where there is none."""
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}


@contextmanager
def locked(folder: Path, patience: float = 15.0) -> Iterator[int]:
    """Own a folder, and with it every training that inherits the descriptor.

    Args:
        folder (Path): Made where it is missing.
        patience (float): Seconds to wait for the trainings of a killed run to end.

    Yields:
        int: File descriptor that children are to inherit.

    Raises:
        ConfigError: Another process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'lock', 'w') as file:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ConfigError(
                        f'{folder} is in use by another run, or by a training that '
                        'one left behind; wait for it, end it, or give another --out.'
                    ) from None
            time.sleep(0.2)
        yield file.fileno()
