"""A student, its teacher and the images to compare them on."""

import re
from dataclasses import dataclass, replace
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
import torch
from numpy import ndarray

from mmkd.datasets.read_image import read_image
from mmkd.errors import ConfigError, DataError
from mmkd.transfer import cached_features, subset
from mmkd.transfer.features.layers import LOGITS, POOLED
from mmkd.transfer.network import Network

#: Names that backbones give their stages.
STAGE = re.compile(r'(backbone\.)?(layer|stage|block)s?\.?\d+')


@dataclass
class Pair:
    """Two networks and images.

    Args:
        student (Network): The student.
        teacher (Network): The teacher.
        dataset (BaseDataset): A part of a target.
        classes (Tuple[str, ...]): Its classes, in the order of the labels.
        data (str): Its name, for titles.
        cache (str | Path): Folder of the feature cache.
        limit (int, optional): Most images, with each class's share. Defaults to all.
    """

    student: Network
    teacher: Network
    dataset: object
    classes: Tuple[str, ...]
    data: str
    cache: object
    limit: Optional[int] = None

    def features(
        self, student: Sequence[str], teacher: Sequence[str]
    ) -> Tuple[Dict[str, ndarray], Dict[str, ndarray]]:
        """Return each network's layers as :func:`cached_features` does."""
        images = self._images()
        return (
            cached_features(self.student, images, student, self.cache),
            cached_features(self.teacher, images, teacher, self.cache),
        )

    def labels(self) -> ndarray:
        """Return the labels ``(N,)`` of the images."""
        return np.asarray(self._images().get_gt_labels())

    def where(self) -> str:
        """Say what is compared on what, for titles."""
        return (
            f'student {self.student.name}, teacher {self.teacher.name}, '
            f'{len(self._images()):,} images of {self.data}'
        )

    def logits(self) -> Tuple[ndarray, ndarray]:
        """Return both networks' logits ``(N, K)`` of :attr:`classes`."""
        both = self.features([LOGITS], [LOGITS])
        student, teacher = (layers[LOGITS][:, : len(self.classes)] for layers in both)
        return student, teacher

    def shared(self) -> 'Pair':
        """Return the pair on the classes that both networks and the data set have.

        These are the first ones; a network with more of them only loses its last
        logits, and the data set the images of its last classes.

        Raises:
            ConfigError: A network has no logits, or nobody knows of which classes.
            DataError: The classes are not the same up to the last ones left out.
        """
        known = {
            'the data set': self.classes,
            'the student': _classes(self.student, self),
            'the teacher': _classes(self.teacher, self),
        }
        fewest = min(known.values(), key=len)
        for who, names in known.items():
            odd = [pair for pair in zip(names, fewest) if pair[0] != pair[1]]
            if odd:
                whose = next(w for w, other in known.items() if other is fewest)
                raise DataError(
                    f'{who} and {whose} name other classes, such as {odd[0][0]!r} and '
                    f'{odd[0][1]!r} in the same place; logits are compared on the data '
                    'set that both networks were trained on.'
                )
        labels = np.asarray(self.dataset.get_gt_labels())
        kept = np.flatnonzero(labels < len(fewest)).tolist()
        classes, data = _distinct(fewest), self.data
        if len(fewest) < len(self.classes):
            data += f', first {len(fewest)} of {len(self.classes)} classes'
        images = self.dataset.get_subset(kept)
        return replace(self, dataset=images, classes=classes, data=data)

    def _images(self):
        return subset(self.dataset, self.limit) if self.limit else self.dataset


def default_layers(network: Network) -> Tuple[str, ...]:
    """Return the names of a backbone's stages, and the feature before the logits."""
    modules = (name for name, _ in network.model.named_modules())
    return (*filter(STAGE.fullmatch, modules), POOLED)


def _classes(network: Network, pair: Pair) -> Tuple[str, ...]:
    """Name a network's logits by its checkpoint, or else by a data set as large."""
    image = network.transform(read_image(pair.dataset.get_data_info(0)))
    features = network.features(torch.from_numpy(image)[None], [LOGITS])
    number = features[LOGITS].shape[1]
    for names in (network.classes, pair.classes):
        if names is not None and len(names) == number:
            return tuple(names)
    raise ConfigError(
        f'{network.name} has {number} logits, but its checkpoint names '
        f'{len(network.classes or ())} classes and {pair.data} has '
        f'{len(pair.classes)}; logits are compared on the data set that both networks '
        'were trained on.'
    )


def _distinct(names) -> Tuple[str, ...]:
    """Number names that occur twice, as in ImageNet."""
    twice = {name for name in names if names.count(name) > 1}
    return tuple(f'{n} ({i})' if n in twice else n for i, n in enumerate(names))
