"""Data sets inside of their wrappers."""

import copy
from typing import Iterator

from torch.utils.data import Dataset

#: Where RepeatDataset, ConcatDataset, Subset and MMEngine's slice hold them.
INNER = ('dataset', 'datasets', '_dataset')


def leaves_of(dataset: Dataset) -> Iterator[Dataset]:
    """Give the built data sets that read, as :func:`mmkd.configs.datasets_of` does."""
    inner = _held(dataset)
    for each in inner:
        yield from leaves_of(each)
    if not inner:
        yield dataset


def sources_of(dataset: Dataset) -> Iterator[Dataset]:
    """Give the built data sets whose pipelines end the samples.

    That is a wrapper that has one, such as mmdet's that mixes images, else what it
    holds.
    """
    inner = [] if hasattr(dataset, 'pipeline') else _held(dataset)
    for each in inner:
        yield from sources_of(each)
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


def is_stock(source: Dataset) -> bool:
    """Tell whether a data set is one of OpenMMLab's, with a pipeline."""
    prepares = hasattr(source, 'prepare_data') or bool(_held(source))
    return hasattr(source, 'pipeline') and prepares


def packs(source: Dataset) -> bool:
    """Tell whether it is one of mmdet's or mmpretrain's, whose samples are alike."""
    packages = {kind.__module__.split('.')[0] for kind in type(source).__mro__}
    return not packages.isdisjoint(('mmdet', 'mmpretrain'))


def sample_of(source: Dataset):
    """Return the first sample of a data set, which stays as it is.

    A step of its pipeline may remember what it saw, and may give None now and then, for
    which the data set takes another sample.
    """
    if not is_stock(source):
        return source[0]
    source = copy.copy(source)
    source.pipeline = copy.deepcopy(source.pipeline)
    return source[0]


def _held(dataset):
    """List what a wrapper holds."""
    held = [getattr(dataset, name) for name in INNER if hasattr(dataset, name)]
    lists = [each if isinstance(each, (list, tuple)) else [each] for each in held]
    return [dataset for each in lists for dataset in each]
