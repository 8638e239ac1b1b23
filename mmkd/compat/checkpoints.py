"""Checkpoints that load without running code, and resume, on every torch.

MMEngine 0.10.7 (``mmengine/runner/checkpoint.py``) calls ``torch.load`` with its
defaults. On torch >= 2.6 that refuses MMEngine's own checkpoints, whose log history is
more than weights (https://github.com/open-mmlab/mmengine/issues/1655); before 2.6, and
for downloads (``torch.hub.load_state_dict_from_url``) on every torch, it runs whatever
code the file brings. :func:`safe_load` does neither, and :func:`install` puts it under
all of MMEngine's loaders. Delete this when MMEngine loads with ``weights_only=True``
and can resume.

``Runner.resume`` would execute a config text under ``meta['config']``, a key of older
checkpoints that serves it for nothing else, so it is left out.
"""

import logging
import os
import os.path as osp
import pickle
import re
import zipfile
from typing import IO, Any, Callable, Optional, Union
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log
from mmengine.utils import digit_version

from mmkd.compat import restricted_pickle
from mmkd.compat.safe_globals import SAFE_GLOBALS
from mmkd.errors import CheckpointError

TRUST = 'MMKD_TRUST'
WEB = ('http://', 'https://')
MapLocation = Optional[Union[str, torch.device, dict, Callable]]


def safe_load(
    file: Union[str, os.PathLike, IO[bytes]], map_location: MapLocation = 'cpu'
) -> Any:
    """Load a checkpoint of weights and of MMEngine's training state, nothing else.

    A file that needs more is loaded only if the environment variable ``MMKD_TRUST``, a
    comma-separated list, names its path or URL.

    Args:
        file: Path, http(s) URL (downloaded once, as by ``torch.hub``) or open file.
        map_location: As of :func:`torch.load`.

    Raises:
        CheckpointError: The file is missing, cannot be downloaded, is damaged, or
            needs more than weights and is not trusted.
    """
    if hasattr(file, 'read'):
        return _load(file, map_location, 'the open file')
    name = _absolute(os.fspath(file))
    path = _download(name) if name.startswith(WEB) else name
    if not osp.isfile(path):
        raise CheckpointError(
            f'Checkpoint {path} does not exist or is no file: check the path in the '
            f'config or on the command line; relative ones start at {os.getcwd()}.'
        )
    if _is_trusted(name):
        print_log(
            f'{name} is named in {TRUST}: loading it may run the code it contains.',
            logger='current',
            level=logging.WARNING,
        )
        return torch.load(path, map_location=map_location, weights_only=False)
    return _load(path, map_location, name)


def _is_trusted(name: str) -> bool:
    trusted = os.environ.get(TRUST, '').split(',')
    return name in [_absolute(entry.strip()) for entry in trusted if entry.strip()]


def _absolute(name: str) -> str:
    return name if name.startswith(WEB) else osp.abspath(osp.expanduser(name))


def install() -> None:
    """Make every loader of MMEngine use :func:`safe_load`."""
    # Not at the top: importing it calls this function.
    from mmengine.runner import CheckpointLoader
    from mmengine.runner import checkpoint as mmengine_checkpoint

    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(WEB, load_from_http, force=True)
    # The loaders of `torchvision://`, `open-mmlab://` and `mmcls://` call this one by
    # name, those of other stores call `torch.load`.
    mmengine_checkpoint.load_from_http = load_from_http
    mmengine_checkpoint.torch = _TorchWithSafeLoad()


def load_from_local(filename: str, map_location: MapLocation = None) -> Any:
    """MMEngine's loader of paths."""
    return safe_load(filename, map_location)


def load_from_http(filename: str, map_location: MapLocation = None) -> Any:
    """MMEngine's loader of URLs."""
    return safe_load(filename, map_location)


class _TorchWithSafeLoad:
    """What ``mmengine.runner.checkpoint`` sees as ``torch``."""

    def load(self, file, map_location: MapLocation = None, **kwargs) -> Any:
        return safe_load(file, map_location)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def _load(file, map_location: MapLocation, name: str) -> Any:
    try:
        return _without_config(_torch_load(file, map_location))
    except (PermissionError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        if 'map_location' in str(error):  # a device that this machine lacks
            raise
        on_disk = isinstance(file, str)
        wanted = re.search(r'GLOBAL (\S+)', str(error))
        unpicklable = isinstance(error, pickle.UnpicklingError)
        if wanted or (unpicklable and zipfile.is_zipfile(file)):
            needs = wanted.group(1) if wanted else 'an object of unknown type'
            trusted = name if on_disk else 'the path of a local copy'
            raise CheckpointError(
                f'{name} holds more than weights: it needs {needs}, which was not '
                f'executed. If you trust its source, set the environment variable '
                f'{TRUST} to {trusted}.'
            ) from None
        size = osp.getsize(file) if on_disk else file.seek(0, os.SEEK_END)
        cached = f' (cached as {file})' if name.startswith(WEB) else ''
        raise CheckpointError(
            f'{name}{cached} is truncated or no PyTorch checkpoint ({size} bytes): '
            'delete it and download or copy it again.'
        ) from error


def _without_config(checkpoint: Any) -> Any:
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _weights_only_load(file, map_location: MapLocation) -> Any:
    allowed = [(value, name) for name, value in SAFE_GLOBALS.items()]
    with torch.serialization.safe_globals(allowed):
        return torch.load(file, map_location=map_location, weights_only=True)


if digit_version(torch.__version__) < digit_version('2.6'):
    _torch_load = restricted_pickle.torch_load
else:
    _torch_load = _weights_only_load


def _download(url: str) -> str:
    """Path of the file in torch.hub's cache; rank 0 fetches it for the others."""
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(url).path))
    try:
        if get_rank() == 0:
            _fetch(url, path)
    finally:
        barrier()
    # On another machine the cache is another one.
    _fetch(url, path)
    return path


def _fetch(url: str, path: str) -> None:
    if osp.exists(path):
        return
    os.makedirs(osp.dirname(path), exist_ok=True)
    print_log(f'Downloading {url} to {path}', logger='current')
    try:
        torch.hub.download_url_to_file(url, path, progress=os.isatty(0))
    except OSError as error:
        raise CheckpointError(
            f'{url} could not be downloaded ({error}): download it on another machine '
            'and give its local path instead.'
        ) from error
