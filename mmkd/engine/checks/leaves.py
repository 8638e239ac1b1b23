"""Data sets inside of their wrappers."""

import copy
from typing import Iterator

from torch.utils.data import Dataset

#: Where RepeatDataset, ConcatDataset, Subset and MMEngine's slice hold them.
INNER = ('dataset', 'datasets', '_dataset')


def leaves_of(dataset: Dataset) -> Iterator[Dataset]:
    """Give the built data sets that read, as :func:`mmkd.configs.datasets_of` does."""
    inner = [getattr(dataset, name) for name in INNER if hasattr(dataset, name)]
    for held in inner:
        for each in held if isinstance(held, (list, tuple)) else [held]:
            yield from leaves_of(each)
    if not inner:
        yield dataset


def infos_of(leaf: Dataset) -> Iterator[dict]:
    """Give what a data set knows of each sample, without reading images.

    That is all of the annotations for OpenMMLab's data sets, ``gt_label`` for others
    with ``get_gt_labels``, and nothing for the rest.
    """
    if hasattr(leaf, 'get_data_info'):
        yield from map(leaf.get_data_info, range(len(leaf)))
    elif hasattr(leaf, 'get_gt_labels'):
        yield from (dict(gt_label=label) for label in leaf.get_gt_labels())


def is_stock(leaf: Dataset) -> bool:
    """Tell whether a data set is one of OpenMMLab's, with a pipeline."""
    return hasattr(leaf, 'pipeline') and hasattr(leaf, 'prepare_data')


def packs(leaf: Dataset) -> bool:
    """Tell whether it is one of mmdet's or mmpretrain's, whose samples are alike."""
    packages = {kind.__module__.split('.')[0] for kind in type(leaf).__mro__}
    return not packages.isdisjoint(('mmdet', 'mmpretrain'))


def sample_of(leaf: Dataset):
    """Return the first sample of a data set, which stays as it is.

    A step of its pipeline may remember what it saw.
    """
    if not is_stock(leaf):
        return leaf[0]
    leaf = copy.copy(leaf)
    leaf.pipeline = copy.deepcopy(leaf.pipeline)
    return leaf.prepare_data(0)
