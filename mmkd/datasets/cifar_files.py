"""What CIFAR-10 and CIFAR-100 share."""

import hashlib
import logging
import urllib.error
from pathlib import Path
from typing import List, Optional

import numpy as np
from mmengine.logging import print_log

from mmkd.compat.restricted_pickle import Unpickler
from mmkd.datasets.download import check_download
from mmkd.errors import ConfigError, DataError


class CifarFiles:
    """Reads the pickles of CIFAR; stands before a data set of mmpretrain.

    Whatever their md5, the pickles are read without running code that they may
    name.

    Args:
        data_root (str): Folder that holds, or is to hold, ``base_folder``. It is
            downloaded into a folder that is there, or into the usual one,
            ``data/cifar10`` or ``data/cifar100``; elsewhere with ``download=True``.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        check_md5 (bool): Take the official files only. With False, files that differ
            are taken and named in a warning. Defaults to True.
        num_classes (int, optional): Keep the first classes only. Defaults to all.
        fraction (float): Keep this part of each class's images only. Defaults to 1.0.
        part (str): Which part: the ``'first'`` images of each class, or the ``'last'``,
            which can be held out of training. Defaults to ``'first'``.
        **kwargs: Those of mmpretrain's data set.

    Raises:
        ConfigError: ``num_classes``, ``fraction`` or ``part`` is out of its range.
        DataError: The files are not there and cannot be fetched, or differ from the
            official ones.
    """

    #: Its name in messages.
    title: str
    #: Where the labels are in a pickle.
    labels_key: str

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
        owner = type(self).__name__
        classes = self.METAINFO['classes']
        if num_classes is not None and not 1 < num_classes <= len(classes):
            raise ConfigError(
                f'{owner}: num_classes={num_classes}, but it must be between 2 and '
                f'{len(classes)}.'
            )
        if not 0 < fraction <= 1:
            raise ConfigError(
                f'{owner}: fraction={fraction}, but it must be above 0 and at most 1.'
            )
        if part not in ('first', 'last'):
            raise ConfigError(
                f"{owner}: part={part!r}, but it must be 'first' or 'last'."
            )
        self._says_download = 'download' in kwargs
        self.check_md5 = check_md5
        self.part = part
        self.fraction = fraction
        kwargs.setdefault('metainfo', dict(classes=classes[:num_classes]))
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return dicts with ``img``, uint8 ``(32, 32, 3)`` in RGB, and ``gt_label``."""
        folder = Path(self.data_prefix['root']) / self.base_folder
        if (folder / self.train_list[0][0]).exists():
            self._compare_md5s(folder)
            names = self.train_list if self.split == 'train' else self.test_list
            samples = [s for name, _ in names for s in self._read(folder / name)]
        else:
            if not self._says_download:
                check_download(self.title.replace('-', ''), self.data_prefix['root'])
            try:
                samples = super().load_data_list()
            except (urllib.error.URLError, OSError, RuntimeError) as error:
                raise DataError(
                    f'{self.title} is not in {folder} and cannot be fetched from '
                    f'{self.url} ({error}); put {self.filename} there and unpack it.'
                ) from error
        return self._part(samples)

    def _compare_md5s(self, folder):
        for name, official in self.train_list + self.test_list:
            path = folder / name
            if not path.exists():
                raise DataError(
                    f'{path} is missing beside the rest of {self.title}: delete '
                    f'{folder} to fetch it again.'
                )
            md5 = hashlib.md5(path.read_bytes()).hexdigest()
            if md5 == official:
                continue
            if self.check_md5:
                raise DataError(
                    f'{path} has the md5 {md5}, the official file {official}: '
                    f'delete {folder} to fetch it again, or set check_md5=False on '
                    'the data set to take the file as it is.'
                )
            print_log(
                f'{path} is not the official file (md5 {md5}, not {official}); '
                'check_md5=False takes it as it is.',
                logger='current',
                level=logging.WARNING,
            )

    def _read(self, path):
        try:
            with path.open('rb') as file:
                entry = Unpickler(file, encoding='latin1').load()
            pixels, labels = np.asarray(entry['data']), list(entry[self.labels_key])
            if pixels.dtype != np.uint8 or not all(isinstance(x, int) for x in labels):
                raise ValueError('pixels are no bytes, or labels no whole numbers')
            images = pixels.reshape(-1, 3, 32, 32)
            if len(images) != len(labels):
                raise ValueError(f'{len(images)} images, but {len(labels)} labels')
            if unknown := set(labels) - set(range(len(type(self).METAINFO['classes']))):
                raise ValueError(f'it has the label {min(unknown)}')
        except Exception as error:  # a damaged pickle raises whatever it leads to
            raise DataError(
                f'{path} is no {self.title} file ({error}): delete {path.parent} to '
                'fetch it again.'
            ) from error
        images = images.transpose(0, 2, 3, 1)
        return [dict(img=img, gt_label=label) for img, label in zip(images, labels)]

    def _part(self, samples):
        labels = np.array([sample['gt_label'] for sample in samples])
        kept = []
        for label in range(len(self.metainfo['classes'])):
            of_class = np.flatnonzero(labels == label).tolist()
            if self.part == 'first':
                kept += of_class[: max(1, round(len(of_class) * self.fraction))]
            else:  # what a first part of 1 - fraction leaves
                start = round(len(of_class) * (1 - self.fraction))
                kept += of_class[min(start, len(of_class) - 1) :]
        return [samples[index] for index in sorted(kept)]
