"""Images that lie in one folder for each class."""

import os
from pathlib import Path
from typing import Iterable, List, Sequence, Union

from mmkd.errors import DataError

#: What a file's name has to end with, in any case, to be taken as an image.
EXTENSIONS = (
    '.jpg', '.jpeg', '.png', '.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp',
)  # fmt: skip


def find_classes(folder: Path) -> List[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are left out.

    Raises:
        DataError: ``folder`` is no folder.
    """
    if not folder.is_dir():
        raise DataError(
            f'{folder} is no folder; put the data there, or correct data_root.'
        )
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in names if not name.startswith('.'))


def list_images(folder: Path, classes: Sequence[str]) -> List[dict]:
    """List the images in ``folder/CLASS`` and below, class by class, sorted by path.

    Files are told by their names alone (:data:`EXTENSIONS`, not hidden) and not
    opened: :func:`mmkd.datasets.read_image` finds those that are no images.

    Args:
        folder (Path): Holds a folder for each class.
        classes (Sequence[str]): Their names.

    Returns:
        List[dict]: ``img_path`` and ``gt_label``, the position in ``classes``.

    Raises:
        DataError: There are no classes, or a class has no image.
    """
    if not classes:
        raise DataError(
            f'{folder} holds no class folders, so no images with labels; put a folder '
            'for each class there, or correct data_root.'
        )
    samples, empty = [], []
    for label, name in enumerate(classes):
        paths = sorted(_images_below(folder / name))
        samples += [dict(img_path=path, gt_label=label) for path in paths]
        if not paths:
            empty.append(name)
    if empty:
        raise DataError(
            f'{folder}: no images ({", ".join(EXTENSIONS)}) in the class folders '
            f'{some(empty)}; fill them, or delete them from train and val.'
        )
    return samples


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith('.')


def check_same_classes(
    first: Iterable[str],
    second: Iterable[str],
    first_place: Union[str, Path],
    second_place: Union[str, Path],
) -> None:
    """Check that two places hold the same classes.

    Args:
        first (Iterable[str]): Classes in the first place.
        second (Iterable[str]): Classes in the second place.
        first_place (str | Path): What it is, for the message.
        second_place (str | Path): What it is, for the message.

    Raises:
        DataError: They differ; names some that are in one place only.
    """
    places = ((first, second, first_place), (second, first, second_place))
    only = [
        f'{some(sorted(set(here) - set(there)))} only in {place}'
        for here, there, place in places
        if set(here) - set(there)
    ]
    if only:
        raise DataError(
            f'the classes of {first_place} and {second_place} differ: '
            f'{", ".join(only)}; unpack the data again, or take out what does not '
            'belong there.'
        )


def some(names: Sequence[str]) -> str:
    """Return the first names in one line, with the number of the others."""
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(names[:3]) + more


def _images_below(folder):
    for path, _, names in os.walk(folder, onerror=_give_up, followlinks=True):
        for name in names:
            if is_image(name):
                yield os.path.join(path, name)


def _give_up(error):
    raise DataError(f'{error.filename} cannot be listed ({error.strerror}).') from error
