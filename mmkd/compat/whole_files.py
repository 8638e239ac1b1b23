"""Files of MMEngine that a kill leaves whole.

MMEngine 0.10.7 writes checkpoints and configs in place (``LocalBackend.put``,
``Config.dump``), and its ``CheckpointHook`` removes what is over ``max_keep_ckpts``,
or was the best, before it saves the next: with ``max_keep_ckpts=1`` a kill in between
leaves none. Delete this when MMEngine writes a file beside the old one, renames it, and
removes others after that.
"""

import functools
import os
from pathlib import Path
from typing import Callable, List, Optional, Tuple, Union

from mmengine.fileio import FileClient, LocalBackend, register_backend

from mmkd.files import write_bytes, write_text

PathLike = Union[str, os.PathLike]
#: In checkpoints: names of those that were to be removed once it was saved.
SUPERSEDED = 'superseded_ckpts'


class WholeFilesBackend(LocalBackend):
    """MMEngine's access to the disk, writing each file in one step."""

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Write bytes; folders are made."""
        write_bytes(Path(filepath), bytes(obj))

    def put_text(self, obj: str, filepath: PathLike, encoding: str = 'utf-8') -> None:
        """Write text; folders are made."""
        write_bytes(Path(filepath), obj.encode(encoding))


class LateRemoval:
    """A file backend that only notes what is to be removed.

    Args:
        backend: The one that removes.
        hub (MessageHub, optional): Whose state the next checkpoint gets: it takes the
            names along, for a run that is killed before they are removed.
    """

    def __init__(self, backend, hub=None) -> None:
        self._backend, self._hub = backend, hub
        self._noted: List[Tuple[Callable, str]] = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, filepath: PathLike) -> None:
        """Note a file."""
        self._note(self._backend.remove, str(filepath))

    def rmtree(self, dir_path: PathLike) -> None:
        """Note a folder."""
        self._note(self._backend.rmtree, str(dir_path))

    def _note(self, remove: Callable, path: str) -> None:
        self._noted.append((remove, path))
        if self._hub is not None:
            names = [os.path.basename(path) for _, path in self._noted]
            self._hub.update_info(SUPERSEDED, names)

    def catch_up(self, keep: List[str]) -> None:
        """Remove what was noted and is none of these."""
        for remove, path in self._noted:
            if path not in keep:
                remove(path)


def install_backend() -> None:
    """Have MMEngine write its files so."""
    register_backend('local', WholeFilesBackend, force=True, prefixes='')
    FileClient.register_backend('disk', WholeFilesBackend, force=True)


def install_config() -> None:
    """Have ``Config.dump`` write them so."""
    from mmengine.config import Config

    if not hasattr(Config.dump, '__wrapped__'):
        Config.dump = _dumping_whole(Config.dump)


def install_hook() -> None:
    """Have ``CheckpointHook`` save before it removes."""
    from mmengine.hooks import CheckpointHook

    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        method = getattr(CheckpointHook, name)
        if not hasattr(method, '__wrapped__'):
            setattr(CheckpointHook, name, _removing_late(method))


def _dumping_whole(dump: Callable) -> Callable:
    @functools.wraps(dump)
    def dumped(self, file: Optional[PathLike] = None) -> Optional[str]:
        if file is None or not str(file).endswith('.py'):  # goes through the backend
            return dump(self, file)
        return write_text(Path(file), self.pretty_text)

    return dumped


def _removing_late(save: Callable) -> Callable:
    @functools.wraps(save)
    def saved(self, runner, *args, **kwargs) -> None:
        backend = getattr(self, 'file_backend', None)
        if backend is None:  # it saves nothing: nobody trains
            return save(self, runner, *args, **kwargs)
        late = LateRemoval(backend, getattr(runner, 'message_hub', None))
        self.file_backend = late
        try:
            save(self, runner, *args, **kwargs)
        finally:
            self.file_backend = backend
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        late.catch_up([self.last_ckpt, *best])

    return saved
