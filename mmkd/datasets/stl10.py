"""STL-10 as it lies on the disk."""

from pathlib import Path
from typing import List

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmkd.datasets.splits import check_split
from mmkd.errors import DataError
from mmkd.registry import DATASETS

#: An image in the file: channels, columns, rows.
SHAPE = (3, 96, 96)
SIZE = 3 * 96 * 96


@DATASETS.register_module()
class STL10(BaseDataset):
    """`STL-10 <https://cs.stanford.edu/~acoates/stl10/>`_: 10 classes, 500 training and
    800 test images of 96x96 pixels each, from the official binary files.

    ``get_data_info`` gives ``img``, uint8 ``(96, 96, 3)`` in RGB, and ``gt_label`` from
    0 on; a pipeline begins without ``LoadImageFromFile``. Images are mapped into memory
    one at a time.

    Args:
        data_root (str): The folder that holds ``train_X.bin``, ``train_y.bin``,
            ``test_X.bin``, ``test_y.bin`` and ``class_names.txt``, or the one in which
            ``stl10_binary`` lies.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        **kwargs: Those of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ConfigError: ``split`` is something else.
        DataError: A file is missing or cut short, or a label is out of range.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        check_split('STL10', split, ('train', 'test'))
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return dicts with ``row``, the image's place in its file, and a label."""
        folder = Path(self.data_root)
        if (folder / 'stl10_binary').is_dir():
            folder = folder / 'stl10_binary'
        names = (f'{self.split}_X.bin', f'{self.split}_y.bin', 'class_names.txt')
        self._images, labels_path, names_path = paths = [
            folder / name for name in names
        ]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise DataError(
                f'{", ".join(missing)} of STL-10 not found in {folder}; unpack '
                'stl10_binary.tar.gz there, or correct data_root.'
            )
        classes = tuple(names_path.read_text(encoding='utf-8').split())
        labels = np.fromfile(labels_path, np.uint8)
        size = self._images.stat().st_size
        if size != len(labels) * SIZE or not len(labels):
            raise DataError(
                f'{self._images} has {size} bytes, but the {len(labels)} labels of '
                f'{labels_path.name} need {len(labels) * SIZE}; one of the files is '
                'cut short: unpack stl10_binary.tar.gz again.'
            )
        if labels.min() < 1 or labels.max() > len(classes):
            raise DataError(
                f'{labels_path} has labels from {labels.min()} to {labels.max()}, but '
                f'{names_path.name} allows 1 to {len(classes)}; unpack '
                'stl10_binary.tar.gz again.'
            )
        self._metainfo['classes'] = classes
        return [
            dict(row=row, gt_label=int(label) - 1) for row, label in enumerate(labels)
        ]

    def get_data_info(self, idx: int) -> dict:
        """Return ``img`` and ``gt_label`` of a sample."""
        info = super().get_data_info(idx)
        # Opened each time: a map that is kept would be read whole by every copy.
        image = np.memmap(
            self._images, np.uint8, 'r', offset=info.pop('row') * SIZE, shape=SHAPE
        )
        info['img'] = np.ascontiguousarray(image.transpose(2, 1, 0))
        return info

    def get_gt_labels(self) -> np.ndarray:
        """Return the label ``(len(self),)`` of every image, without reading images."""
        infos = map(super().get_data_info, range(len(self)))
        return np.array([info['gt_label'] for info in infos])
