"""Folders of classes, for training and for validation."""

from pathlib import Path
from typing import List

from mmpretrain.datasets import BaseDataset

from mmkd.datasets.class_folders import check_same_classes, find_classes, list_images
from mmkd.datasets.splits import check_split
from mmkd.registry import DATASETS


@DATASETS.register_module()
class ImageFolders(BaseDataset):
    """Images in ``train/CLASS/*`` and ``val/CLASS/*``, as in `Imagenette
    <https://github.com/fastai/imagenette>`_.

    In contrast to mmpretrain's ``CustomDataset``, both parts are looked at, so that a
    label means the same class in both. ``metainfo['classes']`` are the folders' names,
    sorted.

    Args:
        data_root (str): Folder that holds ``train`` and ``val``.
        split (str): ``'train'`` or ``'val'``. Defaults to ``'train'``.
        **kwargs: Those of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ConfigError: ``split`` is something else.
        DataError: A folder is missing, the classes of the two parts differ, or a class
            has no image.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        check_split('ImageFolders', split, ('train', 'val'))
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return dicts with ``img_path`` and ``gt_label``, class by class."""
        train, val = (Path(self.data_root) / part for part in ('train', 'val'))
        classes = find_classes(train)
        check_same_classes(classes, find_classes(val), train, val)
        self._metainfo['classes'] = tuple(classes)
        return list_images(train if self.split == 'train' else val, classes)
