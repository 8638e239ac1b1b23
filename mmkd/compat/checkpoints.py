"""Checkpoints that load without running code, and resume, on every torch.

MMEngine 0.10.7 (``mmengine/runner/checkpoint.py``) calls ``torch.load`` with its
defaults. On torch >= 2.6 that refuses MMEngine's own checkpoints, whose log history is
more than weights (https://github.com/open-mmlab/mmengine/issues/1655); before 2.6, and
for downloads (``torch.hub.load_state_dict_from_url``) on every torch, it runs whatever
code the file brings. Its maintained fork (onedl-mmengine 0.10.12, of the same import
name) tries a safe load first and then runs the code. :func:`safe_load` does neither,
and :func:`install` puts it under all loaders of both. Delete this when MMEngine loads
with ``weights_only=True`` and can resume.

Loads that go elsewhere, where a config asks for it: mmpretrain's ``SwAVHook`` (its
queue in the work dir), ``NormEMAVectorQuantizer`` and ``ImageToImageRetriever`` call
``torch.load`` with its defaults, which are safe from torch 2.6 on; ``TIMMBackbone``,
``HuggingFaceClassifier`` and torchvision's ``pretrained=True`` fetch what their makers
publish by means of their own; and ``.pkl`` annotations are pickles that MMEngine runs.

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

import torch
from mmengine.logging import print_log
from mmengine.utils import digit_version
from torch import serialization

from mmkd.compat import restricted_pickle
from mmkd.compat.downloads import download
from mmkd.compat.pickled import plain
from mmkd.compat.safe_globals import told_to_torch
from mmkd.errors import CheckpointError, explained

TRUST = 'MMKD_TRUST'
#: In the first bytes of files that torch wrote before it wrote archives.
MAGIC = pickle.encode_long(serialization.MAGIC_NUMBER)
WEB = ('http://', 'https://')
MapLocation = Optional[Union[str, torch.device, dict, Callable]]


def safe_load(
    file: Union[str, os.PathLike, IO[bytes]], map_location: MapLocation = 'cpu'
) -> Any:
    """Load a checkpoint of weights and of MMEngine's training state, nothing else.

    A file that needs more is loaded only if the environment variable ``MMKD_TRUST``, a
    comma-separated list, names its URL or its real path: absolute, and through no
    symbolic link.

    Args:
        file: Path, http(s) URL (see :func:`mmkd.compat.downloads.download`) or open
            file.
        map_location: As of :func:`torch.load`.

    Raises:
        CheckpointError: The file is missing, cannot be downloaded, is damaged, or
            needs more than weights and is not trusted.
    """
    if hasattr(file, 'read'):
        return _load(file, map_location, 'the open file')
    name = os.fspath(file)
    if name.startswith(WEB):
        trusted = name
        path = download(name, by_name=not _is_trusted(name))
    else:
        name = osp.abspath(osp.expanduser(name))
        # What a link points to may change, so that trust is in the file itself.
        trusted = path = osp.realpath(name)
    if not osp.isfile(path):
        raise CheckpointError(
            f'Checkpoint {name} does not exist or is no file: check the path in the '
            f'config or on the command line; relative ones start at {os.getcwd()}.'
        )
    if not _is_trusted(trusted):
        return _load(path, map_location, name, trusted)
    print_log(
        f'{trusted} is named in {TRUST}: loading it may run the code it contains.',
        logger='current',
        level=logging.WARNING,
    )
    with explained(f'{name} cannot be loaded', 'copy it again', CheckpointError):
        return torch.load(path, map_location=map_location, weights_only=False)


def _is_trusted(name: str) -> bool:
    """Tell whether a URL, or the real path of a file, is named in the environment."""
    entries = os.environ.get(TRUST, '').split(',')
    return name in [osp.expanduser(entry.strip()) for entry in entries]


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
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):  # the fork's
        mmengine_checkpoint._safe_torch_load = mmengine_checkpoint.torch.load


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


def _load(
    file,
    map_location: MapLocation,
    name: str,
    trusted: str = 'the real path of a local copy',
) -> Any:
    try:
        return _without_config(_read(file, map_location))
    except torch.cuda.OutOfMemoryError:
        raise
    except (PermissionError, MemoryError) as error:
        reason = getattr(error, 'strerror', 'it needs more memory than there is')
        raise CheckpointError(
            f'{name} cannot be read ({reason}): see to that, or give another file.'
        ) from error
    except Exception as error:
        if isinstance(error, RuntimeError) and 'map_location' in str(error):
            raise  # a device that this machine lacks
        unpicklable = isinstance(error, pickle.UnpicklingError)
        # A name, and in brackets what was wrong with its use; nothing else of the file.
        wanted = re.search(r'GLOBAL ([\w.]+( \([\w ]+\))?)', str(error))
        if wanted or (unpicklable and zipfile.is_zipfile(file)):
            needs = wanted.group(1) if wanted else 'an object of unknown type'
            raise CheckpointError(
                f'{name} holds more than weights: it needs {needs}, which was not '
                f'executed. If you trust its source, set the environment variable '
                f'{TRUST} to {trusted}.'
            ) from None
        on_disk = isinstance(file, str)
        size = osp.getsize(file) if on_disk else file.seek(0, os.SEEK_END)
        cached = f' (cached as {file})' if name.startswith(WEB) else ''
        raise CheckpointError(
            f'{name}{cached} is truncated or no PyTorch checkpoint ({size} bytes): '
            'delete it and download or copy it again.'
        ) from error


def _read(file, map_location: MapLocation) -> Any:
    with serialization._open_file_like(file, 'rb') as opened:
        start = opened.tell()
        head = opened.read(64)
        opened.seek(start)
        if head.startswith(pickle.PROTO) and MAGIC not in head:
            # Not of torch, as those of detectron2; some are from Python 2.
            return restricted_pickle.load(opened, encoding='latin1')
    return _torch_load(file, map_location)


def _without_config(checkpoint: Any) -> Any:
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _weights_only_load(file, map_location: MapLocation) -> Any:
    with told_to_torch():
        return plain(torch.load(file, map_location=map_location, weights_only=True))


if digit_version(torch.__version__) < digit_version('2.6'):
    _torch_load = restricted_pickle.torch_load
else:
    _torch_load = _weights_only_load
