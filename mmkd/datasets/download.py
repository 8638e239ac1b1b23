"""Where data that are not there may be downloaded to."""

import os
from pathlib import Path

from mmkd.datasets.class_folders import some
from mmkd.errors import DataError

#: What fetches itself: its folder in stock configs and in mmkd's, and megabytes.
DOWNLOADED = dict(
    CIFAR10=('data/cifar10', 163),
    CIFAR100=('data/cifar100', 161),
    MNIST=('data/mnist', 11),
    FashionMNIST=('data/fashionmnist', 29),
)
#: What lies in ``data_root``, so that it is seen when one goes too deep.
FOLDERS = ('cifar-10-batches-py', 'cifar-100-python')


def check_download(kind: str, data_root: str) -> None:
    """Refuse to download into a folder that is not there: it may be mistyped.

    What is there passes, and so does the usual folder, which a first training makes.

    Args:
        kind (str): A data set; those that do not download pass.
        data_root (str): The folder that it is to lie in.

    Raises:
        DataError: The folder is not there, or is the one inside of it.
    """
    if kind not in DOWNLOADED or '://' in str(data_root):
        return
    usual, megabytes = DOWNLOADED[kind]
    root = Path(data_root)
    if root.name in FOLDERS and root.is_dir():
        raise DataError(
            f'{kind}: data_root {str(root)!r} is the folder with its files; give the '
            f'one above, {str(root.parent)!r}.'
        )
    if root.is_dir() or root == Path(usual):
        return
    above = next(parent for parent in root.absolute().parents if parent.is_dir())
    held = some(sorted(os.listdir(above))) or 'nothing'
    raise DataError(
        f'{kind}: data_root {str(root)!r} is no folder here ({above} holds {held}); '
        f'correct it, or make that folder to have {megabytes} MB downloaded into it.'
    )
