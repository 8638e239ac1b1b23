"""Kills the process that finds it at a chosen write; set up by kill_and_resume.py.

Python imports a module of this name at its start. ``MMKD_KILL`` is JSON: ``root``, the
folder whose files count, and either ``record``, a file that gets a line for each event,
or ``event``, ``name`` and ``nth``, the one that ends the process, and ``done``, a file
that says that it did.
"""

import builtins
import io
import json
import os
import re
import signal

SPEC = json.loads(os.environ.get('MMKD_KILL', 'null'))
ROOT = os.path.realpath(SPEC['root']) + os.sep if SPEC else None
_open, _seen = builtins.open, [0]


def happened(event, path):
    """Count an event at a file under the root; tell whether it is the last one."""
    try:
        path = os.path.realpath(os.fspath(path))
    except TypeError:  # a descriptor
        return False
    if not isinstance(path, str) or not path.startswith(ROOT):
        return False
    name = re.sub(r'\d+', '#', path[len(ROOT) :])
    if 'record' in SPEC:
        with _open(SPEC['record'], 'a') as file:
            file.write(f'{event}\t{name}\n')
        return False
    if (event, name) != (SPEC['event'], SPEC['name']):
        return False
    _seen[0] += 1
    return _seen[0] == SPEC['nth']


def end(path):
    with _open(SPEC['done'], 'w') as file:
        file.write(os.fspath(path))
    os.kill(os.getpid(), signal.SIGKILL)


def around(function, event, of=0):
    """Wrap what changes a file at once: before it and after it."""

    def wrapped(*args, **kwargs):
        path = args[of]
        if happened(f'before {event}', path):
            end(path)
        result = function(*args, **kwargs)
        if happened(f'after {event}', path):
            end(path)
        return result

    return wrapped


class Writer:
    """A file of which a write may be the last, and come to its half only."""

    def __init__(self, file, path):
        self._file, self._path = file, path

    def write(self, data):
        half, whole = (
            happened(f'{part} of a write', self._path) for part in ('half', 'end')
        )
        if half:
            data = data[: max(1, len(data) // 2)]
        written = self._file.write(data)
        if half or whole:
            self._file.flush()
            end(self._path)
        return written

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __iter__(self):
        return iter(self._file)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)


def opened(path, mode='r', *args, **kwargs):
    if not set('wax+') & set(mode):
        return _open(path, mode, *args, **kwargs)
    file = around(_open, 'opening')(path, mode, *args, **kwargs)
    try:
        inside = os.path.realpath(os.fspath(path)).startswith(ROOT)
    except TypeError:
        inside = False
    return Writer(file, path) if inside else file


if SPEC:
    builtins.open = io.open = opened
    os.replace = around(os.replace, 'renaming', of=1)
    os.rename = around(os.rename, 'renaming', of=1)
    os.remove = around(os.remove, 'removal')
    os.unlink = around(os.unlink, 'removal')
