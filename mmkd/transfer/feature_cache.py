"""Features of a data set, computed once and kept as memory-mapped arrays."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Union

import numpy as np
import torch
from mmengine.logging import print_log
from numpy.lib.format import open_memmap
from torch import Tensor

from mmkd.datasets.read_image import read_image
from mmkd.errors import ConfigError, DataError
from mmkd.files import read_json, write_json

from .network import Network

#: Seconds between two notes of how far an extraction has come.
NOTE_EVERY = 2.0
#: Where features lie by default.
CACHE = 'work_dirs/features'


def cached_features(
    network: Network,
    dataset,
    layers: Sequence[str],
    cache: Union[str, Path] = CACHE,
    batch_size: int = 250,
    workers: int = 2,
) -> Dict[str, np.ndarray]:
    """Return a network's features of all images, from the cache where they are there.

    They are kept by the network's weights, structure and input transform, torch's
    version, and the data: paths, sizes and times of files, or the pixels themselves.
    Where any of these changes they are computed anew. A killed extraction goes on
    where it was; a second process waits for the first.

    Args:
        network (Network): The network.
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
        ConfigError: There is no such layer, or it puts out no vectors.
        DataError: An image cannot be read, a feature is not finite, or the cache
            cannot be written.
    """
    infos = _infos(dataset)
    folder = Path(cache) / _key(network, infos)
    layers = list(dict.fromkeys(layers))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            missing = [name for name in layers if not _is_there(folder, name, infos)]
            if missing:
                _extract(network, infos, missing, folder, batch_size, workers)
    except OSError as error:
        raise _unwritable(error, cache) from error
    # Copy on write: torch warns of arrays that cannot be written.
    return {name: np.load(_path(folder, name), mmap_mode='c') for name in layers}


def _infos(dataset) -> List[dict]:
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not infos:
        raise DataError(f'{type(dataset).__name__} holds no images.')
    return infos


def _key(network, infos) -> str:
    digest = hashlib.blake2b(network.fingerprint().encode(), digest_size=12)
    for info in infos:
        if 'img' in info:
            digest.update(f'{info["img"].shape}'.encode())
            digest.update(np.ascontiguousarray(info['img']))
        else:
            path = os.path.abspath(info['img_path'])
            try:
                stat = os.stat(path)
            except OSError as error:
                raise DataError(f'{path} cannot be read: {error.strerror}.') from None
            digest.update(f'{path} {stat.st_size} {stat.st_mtime_ns}\n'.encode())
    return digest.hexdigest()


def _path(folder: Path, layer: str) -> Path:
    return folder / f'{layer.replace(os.sep, "_")}.npy'


def _is_there(folder, layer, infos) -> bool:
    path = _path(folder, layer)
    if not path.exists():
        return False
    try:
        return len(np.load(path, mmap_mode='r')) == len(infos)
    except (ValueError, EOFError):  # somebody cut it
        print_log(f'{path} is damaged: its features are computed again.', 'current')
        return False


def _extract(network, infos, layers, folder, batch_size, workers):
    note = folder / 'progress.json'
    about = dict(layers=layers, batch_size=batch_size, rows=len(infos))
    found = _progress(note)
    done = found.pop('done', 0) if {**found, 'done': 0} == {**about, 'done': 0} else 0
    parts = [_path(folder, name).with_suffix('.part') for name in layers]
    if not all(part.exists() for part in parts):
        done = 0
    print_log(
        f'Features of {network.name}: {", ".join(layers)} of {len(infos)} images'
        + (f', going on at image {done}.' if done else '.'),
        'current',
    )
    arrays = [open_memmap(part, 'r+') for part in parts] if done else None
    noted = time.monotonic()
    for start, images in _batches(network, infos, done, batch_size, workers):
        rows = network.features(images, layers)
        for name in layers:
            _check_finite(rows[name], name, network, infos, start)
        if arrays is None:
            arrays = _allocate(parts, [rows[name] for name in layers], len(infos))
        for array, name in zip(arrays, layers):
            array[start : start + len(images)] = rows[name].numpy()
        if time.monotonic() - noted > NOTE_EVERY:
            for array in arrays:
                array.flush()
            write_json(note, dict(about, done=start + len(images)))
            noted = time.monotonic()
    for array, part in zip(arrays, parts):
        array.flush()
        os.replace(part, part.with_suffix('.npy'))
    note.unlink(missing_ok=True)


def _progress(note: Path) -> dict:
    try:
        return read_json(note)
    except json.JSONDecodeError:
        return {}


def _batches(network, infos, done, batch_size, workers) -> Iterator:
    """Read and resize batch by batch, the next one while the network has this one."""

    def load(index):
        return torch.from_numpy(network.transform(read_image(infos[index])))

    def submit(start):
        return [
            pool.submit(load, index)
            for index in range(start, min(start + batch_size, len(infos)))
        ]

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        coming = submit(done)
        for start in range(done, len(infos), batch_size):
            now, coming = coming, submit(start + batch_size)
            images = [job.result() for job in now]
            sizes = {tuple(image.shape) for image in images}
            if len(sizes) > 1:
                raise ConfigError(
                    f'{network.name}: its test pipeline leaves images of several sizes '
                    f'({", ".join(map(str, sorted(sizes)[:2]))}); give --input-size.'
                )
            yield start, torch.stack(images)


def _allocate(parts: List[Path], rows: List[Tensor], number: int) -> list:
    shapes = [(number, row.size(1)) for row in rows]
    kinds = [row.numpy().dtype for row in rows]
    need = sum(n * c * kind.itemsize for (n, c), kind in zip(shapes, kinds))
    free = shutil.disk_usage(parts[0].parent).free
    if need > free:
        raise OSError(
            errno.ENOSPC, f'{need / 1e6:.0f} MB needed, {free / 1e6:.0f} free'
        )
    arrays = []
    for part, shape, kind in zip(parts, shapes, kinds):
        arrays.append(open_memmap(part, 'w+', kind, shape))
        if hasattr(os, 'posix_fallocate'):  # not on macOS
            # A disk that fills up later would kill the process, not raise.
            with open(part, 'r+b') as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
    return arrays


def _check_finite(rows, layer, network, infos, start):
    bad = (~torch.isfinite(rows).all(1)).nonzero().flatten().tolist()
    if bad:
        image = infos[start + bad[0]].get('img_path', f'number {start + bad[0]}')
        raise DataError(
            f'{network.name}: the features of {layer!r} are not finite for image '
            f'{image}; check the checkpoint and the input normalisation.'
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / 'lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print_log(f'Another process fills {folder}: waiting for it.', 'current')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unwritable(error: OSError, cache) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = f'no space for the feature cache in {cache} ({error.strerror})'
        return DataError(f'{what}: free some, or give another --cache.')
    return DataError(
        f'the feature cache {cache} cannot be written ({error}): give another --cache.'
    )
