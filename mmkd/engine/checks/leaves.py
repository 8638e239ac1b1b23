"""Data sets inside of their wrappers."""

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
