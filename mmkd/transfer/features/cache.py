"""Features of a data set, computed once and kept as memory-mapped arrays."""

import math
import os
from hashlib import blake2b
from pathlib import Path
from typing import Dict, Sequence, Union

import numpy as np
from mmengine.logging import print_log

from mmkd.errors import ConfigError, DataError
from mmkd.files import writable
from mmkd.locks import locked

from .code_digest import code_digest
from .extraction import digest, extract, is_whole, stem

#: Where features lie by default.
CACHE = 'work_dirs/features'


def cached_features(
    network,
    dataset,
    layers: Sequence[str],
    cache: Union[str, Path] = CACHE,
    *,
    batch_size: int = 250,
    workers: int = 2,
) -> Dict[str, np.ndarray]:
    """Return a network's features of all images, from the cache where they are there.

    They are kept by the network's weights, structure and input transform, the code of
    all that makes them, and the data: paths, sizes and times of files, or the pixels
    themselves. Where any of these changes they are computed anew. An extraction that
    was killed, or that met a damaged image, goes on where it was; a second process
    waits for the first.

    Args:
        network (Network | Pixels): The network.
        dataset: A data set of :mod:`mmkd.datasets`: ``get_data_info`` gives ``img`` or
            ``img_path``.
        layers (Sequence[str]): As in :meth:`Network.features`.
        cache (str | Path): Folder of the cache.
        batch_size (int): Images at once. Defaults to 250.
        workers (int): Threads that read images. Defaults to 2.

    Returns:
        dict[str, np.ndarray]: By layer, ``(N, C)``, memory-mapped copy-on-write, in
        the data set's order.

    Raises:
        ConfigError: There is no such layer, it puts out no vectors, or ``batch_size``
            is below 1.
        DataError: An image cannot be read, or a feature is not finite.
        OutputError: The cache cannot be written.
    """
    if batch_size < 1:
        raise ConfigError(f'batch_size={batch_size}, but it must be at least 1.')
    places, versions = _identify(dataset)
    key = [network.fingerprint(), code_digest(extract), *places]
    folder = Path(cache) / digest(key)
    version = digest(versions)
    paths = {name: folder / f'{stem(name)}-{version}.npy' for name in layers}
    wait = f'Another process fills {folder}: waiting for it.'
    with writable(cache):
        with locked(folder, math.inf, on_wait=lambda: print_log(wait, 'current')):
            missing = {
                name: path
                for name, path in paths.items()
                if not _is_there(path, len(versions))
            }
            if missing:
                extract(
                    network,
                    dataset,
                    versions,
                    missing,
                    batch_size=batch_size,
                    workers=workers,
                )
    # Copy on write: torch warns of arrays that cannot be written.
    return {name: np.load(path, mmap_mode='c') for name, path in paths.items()}


def _identify(dataset):
    """Tell where each image is, and which version of it is there now."""
    places, versions = [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if 'img' in info:
            pixels = np.ascontiguousarray(info['img'])
            digits = blake2b(pixels, digest_size=12).hexdigest()
            place = version = f'{digits} {pixels.shape}'
        else:
            place = os.path.abspath(info['img_path'])
            try:
                stat = os.stat(place)
            except OSError as error:
                raise DataError(f'{place} cannot be read: {error.strerror}.') from None
            version = f'{stat.st_size} {stat.st_mtime_ns}'
        places.append(place)
        versions.append(version)
    if not places:
        raise DataError(f'{type(dataset).__name__} holds no images.')
    return places, versions


def _is_there(path: Path, rows: int) -> bool:
    if not path.exists():
        return False
    if is_whole(path, rows):
        return True
    print_log(f'{path} is damaged: its features are computed again.', 'current')
    return False
