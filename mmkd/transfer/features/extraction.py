"""Running a network over all images of a data set, in a way that a kill cannot undo."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Dict, Iterable, Iterator, Optional, Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from numpy.lib.format import open_memmap

from mmkd.datasets.read_image import read_image
from mmkd.errors import ConfigError, DataError
from mmkd.files import output_error
from mmkd.records import read_record, write_record

#: Of the note, and what to do where it is damaged.
FORMAT, ADVICE = 'mmkd.features/1', 'it is left out'
#: Seconds between two notes of how far an extraction has come.
NOTE_EVERY = 2.0


def digest(texts: Iterable[str]) -> str:
    """Return a name for a sequence of texts."""
    return blake2b(os.fsencode('\n'.join(texts)), digest_size=12).hexdigest()


def stem(layer: str) -> str:
    """Return how the names of a layer's files begin."""
    return layer.replace(os.sep, '_')


def extract(
    network,
    dataset,
    versions: Sequence[str],
    paths: Dict[str, Path],
    *,
    batch_size: int,
    workers: int,
) -> None:
    """Write features of all images, from where a call before this one was stopped.

    That one has to have been for the same layers and batches, and the images that it
    came to must not have changed. Its caller lets in one process at a time.

    Args:
        network (Network | Pixels): The network.
        dataset: See :func:`cached_features`.
        versions (Sequence[str]): What tells an image from what it was before.
        paths (dict[str, Path]): By layer, files ``.npy`` of one folder.
        batch_size (int): Images at once.
        workers (int): Threads that read images.

    Raises:
        ConfigError: See :func:`cached_features`.
        DataError: An image cannot be read, or a feature is not finite.
        OSError: The files cannot be written, as :class:`OutputError` where it is known
            before.
    """
    folder = next(iter(paths.values())).parent
    parts = {name: folder / f'{stem(name)}.part' for name in paths}
    note = folder / 'progress.json'
    about = dict(layers=list(paths), batch_size=batch_size)
    done = _done(note, about, versions)
    if not all(is_whole(part, len(versions), done) for part in parts.values()):
        done = 0
        # The note first: it must not outlive what it tells of.
        for path in (note, *parts.values()):
            path.unlink(missing_ok=True)
    print_log(
        f'Features of {network.name}: {", ".join(paths)} of {len(versions)} images'
        + (f', going on at image {done}.' if done else '.'),
        'current',
    )
    arrays = {name: open_memmap(parts[name], 'r+') for name in paths if done}
    noted = time.monotonic()

    def take_note():
        for array in arrays.values():
            array.flush()
        so_far = dict(done=done, images=digest(versions[:done]))
        write_record(note, FORMAT, dict(about, **so_far))

    try:
        for start, images in _batches(network, dataset, done, batch_size, workers):
            rows = network.features(images, list(paths))
            _check_finite(rows, network, dataset, start)
            rows = {name: row.numpy() for name, row in rows.items()}
            arrays = arrays or _allocate(parts, rows, len(versions))
            for name, array in arrays.items():
                array[start : start + len(images)] = rows[name]
            done = start + len(images)
            if time.monotonic() - noted > NOTE_EVERY:
                take_note()
                noted = time.monotonic()
    finally:
        if arrays:
            take_note()
    for name, path in paths.items():
        os.replace(parts[name], path)
    note.unlink()


def _done(note, about, versions):
    try:
        noted = read_record(note, FORMAT, dict(done=int), ADVICE)
    except DataError:  # the machine went down, or it is of another mmkd
        return 0
    done = noted.pop('done', 0)
    return done if noted == dict(about, images=digest(versions[:done])) else 0


def is_whole(path: Path, rows: int, done: Optional[int] = None) -> bool:
    """Whether a file holds so many features, of which those done are finite.

    Args:
        path (Path): A file ``.npy``.
        rows (int): Features of how many images.
        done (int, optional): How many are there; defaults to all, and 0 is never whole.

    Raises:
        OSError: It cannot be read.
    """
    if done == 0 or not path.exists():
        return False
    try:
        array = np.load(path, mmap_mode='r')
    except OSError:
        raise
    except Exception:  # of whatever somebody has put there
        return False
    if array.ndim != 2 or array.dtype.kind != 'f' or len(array) != rows:
        return False
    # A sum in double precision is finite where every number is, and takes no memory.
    with np.errstate(invalid='ignore'):
        return bool(np.isfinite(array[:done].sum(dtype=np.float64)))


def _batches(network, dataset, done, batch_size, workers) -> Iterator:
    """Read and resize batch by batch, the next one while the network has this one."""

    def load(index):
        image = read_image(dataset.get_data_info(index))
        return torch.from_numpy(network.transform(image))

    def submit(start):
        return [
            pool.submit(load, index)
            for index in range(start, min(start + batch_size, len(dataset)))
        ]

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        coming = submit(done)
        for start in range(done, len(dataset), batch_size):
            now, coming = coming, submit(start + batch_size)
            images = [job.result() for job in now]
            sizes = {tuple(image.shape) for image in images}
            if len(sizes) > 1:
                raise ConfigError(
                    f'{network.name}: its test pipeline leaves images of several sizes '
                    f'({", ".join(map(str, sorted(sizes)[:2]))}); give --input-size.'
                )
            yield start, torch.stack(images)


def _allocate(parts, rows, number) -> Dict[str, np.ndarray]:
    need = sum(number * row.shape[1] * row.itemsize for row in rows.values())
    free = shutil.disk_usage(next(iter(parts.values())).parent).free
    if need > free:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise output_error(full, next(iter(parts.values())).parent, need)
    arrays = {}
    for name, part in parts.items():
        row = rows[name]
        arrays[name] = open_memmap(part, 'w+', row.dtype, (number, row.shape[1]))
        if hasattr(os, 'posix_fallocate'):  # not on macOS
            # A disk that fills up later would kill the process, not raise.
            with open(part, 'r+b') as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
    return arrays


def _check_finite(rows, network, dataset, start):
    for layer, row in rows.items():
        bad = (~torch.isfinite(row).all(1)).nonzero().flatten().tolist()
        if bad:
            index = start + bad[0]
            image = dataset.get_data_info(index).get('img_path', f'number {index}')
            raise DataError(
                f'{network.name}: the features of {layer!r} are not finite for image '
                f'{image}; check the checkpoint and the input normalisation.'
            )
