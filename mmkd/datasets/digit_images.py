"""Handwritten digits, one an image, without any file."""

from typing import List

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmkd.datasets.digit_scenes import CLASSES, VAL_SHARE
from mmkd.datasets.splits import check_split
from mmkd.registry import DATASETS

#: Width and height that a pixel of the original is given.
SCALE = 4


@DATASETS.register_module()
class DigitImages(BaseDataset):
    """The 1797 digits that `scikit-learn carries with it
    <https://archive.ics.uci.edu/dataset/80>`_, as RGB images of 32x32 pixels.

    Each of the 8x8 grey values 0..16 becomes a block of 4x4 equal pixels, scaled to
    0..255, in three equal channels. The last fifth of each class, rounded, is the test
    part (359 images), the rest is for training (1438). The digits are ordered by
    writer, so other hands wrote most of the test part.

    ``get_data_info`` gives ``img``, uint8 ``(32, 32, 3)``, and ``gt_label``; a pipeline
    begins without ``LoadImageFromFile``.

    Args:
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        **kwargs: Those of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ConfigError: ``split`` is something else.
    """

    METAINFO = dict(classes=CLASSES)

    def __init__(self, split: str = 'train', **kwargs) -> None:
        check_split('DigitImages', split, ('train', 'test'))
        self.split = split
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return dicts with ``img`` and ``gt_label``, in scikit-learn's order."""
        from sklearn.datasets import load_digits  # slow to import, needed once

        bunch = load_digits()
        grey = (bunch.images / bunch.images.max() * 255).round().astype(np.uint8)
        images = np.kron(grey[..., None], np.ones((1, SCALE, SCALE, 3), np.uint8))
        is_test = np.zeros(len(images), bool)
        for label in range(len(CLASSES)):
            rows = np.flatnonzero(bunch.target == label)
            is_test[rows[round(len(rows) * (1 - VAL_SHARE)) :]] = True
        return [
            dict(img=images[row], gt_label=int(bunch.target[row]))
            for row in np.flatnonzero(is_test == (self.split == 'test'))
        ]
