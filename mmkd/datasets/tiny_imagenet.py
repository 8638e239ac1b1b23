"""Tiny ImageNet as it lies on the disk."""

import os
from pathlib import Path
from typing import Dict, List

from mmpretrain.datasets import BaseDataset

from mmkd.datasets.class_folders import (
    check_same_classes,
    find_classes,
    is_image,
    list_images,
    some,
)
from mmkd.datasets.splits import check_split
from mmkd.errors import DataError
from mmkd.registry import DATASETS


@DATASETS.register_module()
class TinyImageNet(BaseDataset):
    """`Tiny ImageNet <http://cs231n.stanford.edu/tiny-imagenet-200.zip>`_: 200 classes,
    500 training and 50 validation images of 64x64 pixels each.

    Two layouts of the validation images are told apart: the official one
    (``val/images/*.JPEG`` with ``val/val_annotations.txt``), which is taken where
    ``val/images`` holds any image, and folders of classes (``val/WNID/*.JPEG`` or
    ``val/WNID/images/*.JPEG``). Both give the same rows in the same order: by class,
    then by name.

    ``metainfo['classes']`` are WordNet's ids, sorted: those of ``wnids.txt`` where that
    is there, else the folders in ``train``. ``metainfo['class_names']`` has the first
    name of each in ``words.txt``, or the id where there is none.

    Args:
        data_root (str): The folder that holds ``train`` and ``val``, or the one in
            which ``tiny-imagenet-200`` lies.
        split (str): ``'train'`` or ``'val'``. Defaults to ``'train'``.
        **kwargs: Those of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ConfigError: ``split`` is something else.
        DataError: A folder or the validation labels are missing, labels and images do
            not belong together, the classes of the two parts differ, or a class has no
            image.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        check_split('TinyImageNet', split, ('train', 'val'))
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return dicts with ``img_path`` and ``gt_label``, class by class."""
        root = Path(self.data_root)
        if (root / 'tiny-imagenet-200').is_dir():
            root = root / 'tiny-imagenet-200'
        wnids, folder = root / 'wnids.txt', root / self.split
        has_list = wnids.is_file()
        source = wnids if has_list else root / 'train'
        classes = sorted(set(_lines(wnids))) if has_list else find_classes(source)
        self._metainfo['classes'] = tuple(classes)
        self._metainfo['class_names'] = _names(root / 'words.txt', classes)

        images = folder / 'images'
        if self.split == 'val' and (names := _image_names(images)):
            labels = _annotations(folder / 'val_annotations.txt')
            _check_complete(labels, names, images)
            check_same_classes(labels.values(), classes, folder, source)
            index = {wnid: label for label, wnid in enumerate(classes)}
            rows = sorted((index[wnid], name) for name, wnid in labels.items())
            return [
                dict(img_path=os.path.join(images, name), gt_label=label)
                for label, name in rows
            ]
        folders = [name for name in find_classes(folder) if name != 'images']
        if self.split == 'val' and not folders:
            raise DataError(
                f'{folder} has no labels: it holds neither images in images/ with '
                'val_annotations.txt nor a folder for each class; unpack '
                'tiny-imagenet-200.zip again.'
            )
        check_same_classes(folders, classes, folder, source)
        return list_images(folder, classes)


def _annotations(path: Path) -> Dict[str, str]:
    """The wnid of every image of the official validation part, by file name."""
    if not path.is_file():
        raise DataError(
            f'{path} with the labels of the validation images is missing; unpack '
            'tiny-imagenet-200.zip again, or, where folders of classes hold those '
            f'images already, delete {path.parent / "images"}.'
        )
    labels: Dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        name, _, rest = line.partition('\t')
        wnid = rest.split('\t')[0]
        if not wnid or name in labels:
            raise DataError(
                f'{path}, line {number}: {line[:40]!r} does not give an image that is '
                'not named before and its class, with a tab between; unpack '
                'tiny-imagenet-200.zip again.'
            )
        labels[name] = wnid
    return labels


def _image_names(folder):
    names = os.listdir(folder) if folder.is_dir() else []
    return {name for name in names if is_image(name)}


def _check_complete(labels, names, images):
    missing, unlabelled = sorted(set(labels) - names), sorted(names - set(labels))
    if missing or unlabelled:
        parts = []
        if missing:
            parts.append(f'names {len(missing)} that are missing ({some(missing)})')
        if unlabelled:
            parts.append(f'lacks {len(unlabelled)} ({some(unlabelled)})')
        raise DataError(
            f'val_annotations.txt and the images in {images} do not belong together: '
            f'it {" and ".join(parts)}; unpack tiny-imagenet-200.zip again.'
        )


def _names(path, wnids):
    """The first name of each wnid, from lines such as ``wnid<TAB>name, other name``."""
    lines = _lines(path) if path.is_file() else []
    words = dict(line.partition('\t')[::2] for line in lines)
    return tuple(words.get(wnid, wnid).split(',')[0] for wnid in wnids)


def _lines(path):
    text = path.read_text(encoding='utf-8', errors='replace')
    return [line.strip() for line in text.splitlines() if line.strip()]
