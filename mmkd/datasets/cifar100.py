"""CIFAR-100 as it lies on the disk."""

import hashlib
import io
import logging
import pickle
import urllib.error
from pathlib import Path
from typing import List, Optional

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import CIFAR100 as StockCIFAR100

from mmkd.errors import ConfigError, DataError
from mmkd.registry import DATASETS

#: All that a pickled dict of arrays, lists and strings has to call.
ARRAYS = {
    ('_codecs', 'encode'),
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy._core.multiarray', '_reconstruct'),
}


@DATASETS.register_module()
class CIFAR100(StockCIFAR100):
    """`CIFAR-100 <https://www.cs.toronto.edu/~kriz/cifar.html>`_: mmpretrain's data
    set, for files with other md5s and for parts of the data too.

    Whatever their md5, the pickles are read without running code that they may
    name.

    Args:
        data_root (str): Folder that holds, or is to hold, ``cifar-100-python``.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        check_md5 (bool): Take the official files only. With False, files that differ
            are taken and named in a warning. Defaults to True.
        num_classes (int, optional): Keep the first classes only. Defaults to all.
        fraction (float): Keep this part of each class's images only. Defaults to 1.0.
        part (str): Which part: the ``'first'`` images of each class, or the ``'last'``,
            which can be held out of training. Defaults to ``'first'``.
        **kwargs: Those of mmpretrain's ``CIFAR100``.

    Raises:
        ConfigError: ``num_classes``, ``fraction`` or ``part`` is out of its range.
        DataError: The files are not there and cannot be fetched, or differ from the
            official ones.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        check_md5: bool = True,
        num_classes: Optional[int] = None,
        fraction: float = 1.0,
        part: str = 'first',
        **kwargs,
    ) -> None:
        classes = self.METAINFO['classes']
        if num_classes is not None and not 1 < num_classes <= len(classes):
            raise ConfigError(
                f'CIFAR100: num_classes={num_classes}, but it must be between 2 and '
                f'{len(classes)}.'
            )
        if not 0 < fraction <= 1:
            raise ConfigError(
                f'CIFAR100: fraction={fraction}, but it must be above 0 and at most 1.'
            )
        if part not in ('first', 'last'):
            raise ConfigError(
                f"CIFAR100: part={part!r}, but it must be 'first' or 'last'."
            )
        self.check_md5 = check_md5
        self.part = part
        self.fraction = fraction
        kwargs.setdefault('metainfo', dict(classes=classes[:num_classes]))
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return dicts with ``img``, uint8 ``(32, 32, 3)`` in RGB, and ``gt_label``."""
        folder = Path(self.data_prefix['root']) / self.base_folder
        if (folder / 'train').exists():
            self._compare_md5s(folder)
            samples = self._read(folder)
        else:
            try:
                samples = super().load_data_list()
            except (urllib.error.URLError, OSError, RuntimeError) as error:
                raise DataError(
                    f'CIFAR-100 is not in {folder} and cannot be fetched from '
                    f'{self.url} ({error}); put {self.filename} there and unpack it.'
                ) from error
        return self._part(samples)

    def _compare_md5s(self, folder):
        for name, official in self.train_list + self.test_list:
            path = folder / name
            if not path.exists():
                raise DataError(
                    f'{path} is missing beside the rest of CIFAR-100: delete {folder} '
                    'to fetch it again.'
                )
            found = hashlib.md5(path.read_bytes()).hexdigest()
            if found == official:
                continue
            if self.check_md5:
                raise DataError(
                    f'{path} has the md5 {found}, the official file {official}: '
                    f'delete {folder} to fetch it again, or set check_md5=False on '
                    'the data set to take the file as it is.'
                )
            print_log(
                f'{path} is not the official file (md5 {found}, not {official}); '
                'check_md5=False takes it as it is.',
                logger='current',
                level=logging.WARNING,
            )

    def _read(self, folder):
        path = folder / self.split
        try:
            entry = _ArrayUnpickler(
                io.BytesIO(path.read_bytes()), encoding='latin1'
            ).load()
            images = np.asarray(entry['data'], np.uint8).reshape(-1, 3, 32, 32)
            labels = [int(label) for label in entry['fine_labels']]
        except (pickle.UnpicklingError, EOFError, LookupError, ValueError) as error:
            raise DataError(
                f'{path} is no CIFAR-100 file ({error}): delete {folder} to fetch it '
                'again.'
            ) from error
        images = images.transpose(0, 2, 3, 1)
        return [dict(img=img, gt_label=label) for img, label in zip(images, labels)]

    def _part(self, samples):
        number = len(self.metainfo['classes'])
        kept = []
        for label in range(number):
            of_class = [i for i, s in enumerate(samples) if s['gt_label'] == label]
            if self.part == 'first':
                kept += of_class[: max(1, round(len(of_class) * self.fraction))]
            else:  # what a first part of 1 - fraction leaves
                start = round(len(of_class) * (1 - self.fraction))
                kept += of_class[min(start, len(of_class) - 1) :]
        return [samples[index] for index in sorted(kept)]


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f'it names {module}.{name}, which was not run')
        return super().find_class(module, name)
