"""Data sets to carry features over to, by name."""

import copy
import difflib
from typing import NamedTuple, Optional, Tuple

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmkd.datasets.class_folders import check_same_classes
from mmkd.errors import ConfigError
from mmkd.registry import DATASETS

#: Registered data set, its parts for training and for validation, and what it takes.
TARGETS = dict(
    tiny_imagenet=('TinyImageNet', ('train', 'val'), ('data_root',)),
    stl10=('STL10', ('train', 'test'), ('data_root',)),
    cifar10=('CIFAR10', ('train', 'test'), ('data_root', 'check_md5')),
    cifar100=('CIFAR100', ('train', 'test'), ('data_root', 'check_md5')),
    image_folders=('ImageFolders', ('train', 'val'), ('data_root',)),
    digits=('DigitImages', ('train', 'test'), ()),
)


class Target(NamedTuple):
    """A data set in two parts.

    Attributes:
        name (str): Its name in :data:`TARGETS`.
        train (BaseDataset): What a classifier is trained on.
        val (BaseDataset): What it is judged on.
        classes (Tuple[str, ...]): Names of the classes, in the order of the labels.
    """

    name: str
    train: BaseDataset
    val: BaseDataset
    classes: Tuple[str, ...]


def load_target(
    name: str, data_root: Optional[str] = None, *, check_md5: bool = True
) -> Target:
    """Load both parts of a data set, without a pipeline.

    Args:
        name (str): One of :data:`TARGETS`.
        data_root (str, optional): Its folder; digits need none. Defaults to None.
        check_md5 (bool): Take official files of CIFAR only. Defaults to True.

    Raises:
        ConfigError: The name is unknown, or a data root is missing.
        DataError: The data is missing or damaged, or its two parts have other classes.
    """
    if name not in TARGETS:
        close = difflib.get_close_matches(str(name), TARGETS, n=1)
        hint = f'; did you mean {close[0]}?' if close else '.'
        raise ConfigError(
            f'unknown target data set {name!r}; known: {", ".join(TARGETS)}{hint}'
        )
    kind, splits, takes = TARGETS[name]
    if 'data_root' in takes and data_root is None:
        raise ConfigError(f'{name} needs data_root, the folder that holds its files.')
    given = dict(data_root=data_root, check_md5=check_md5)
    arguments = {key: given[key] for key in takes}
    train, val = (
        DATASETS.build(dict(type=f'mmkd.{kind}', split=split, **arguments))
        for split in splits
    )
    classes = tuple(train.metainfo['classes'])
    check_same_classes(
        classes, val.metainfo['classes'], *(f'{name} ({split})' for split in splits)
    )
    return Target(name, train, val, classes)


def subset(dataset: BaseDataset, number: int, *, seed: int = 0) -> BaseDataset:
    """Return a stratified subset: each class with its share, drawn at random.

    Samples are shuffled, then taken in the order of ``(rank + 1/2) / size``, with a
    sample's rank in its class and the class's size: Sainte-Laguë's way to give each
    party its seats. Subsets of one seed are nested. With fewer samples than classes,
    some classes have none: small ones first, and among those of one size any.

    Args:
        dataset (BaseDataset): Is left as it is.
        number (int): How many samples to keep; all where there are no more.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        BaseDataset: A copy with those samples, in the order of ``dataset``.

    Raises:
        ConfigError: ``number`` is below 1.
    """
    if number < 1:
        raise ConfigError(f'subset: number={number}, but it must be at least 1.')
    labels = np.asarray(dataset.get_gt_labels())
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    share = np.empty(len(labels))
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        share[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    kept = shuffled[np.argsort(share[shuffled], kind='stable')][:number]
    part = copy.copy(dataset)
    part.get_subset_(sorted(kept.tolist()))
    return part
