"""What there is to learn from: boxes or labels, by class."""

from collections import Counter
from typing import Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from torch.utils.data import Dataset

from mmkd.configs import student_of
from mmkd.errors import DataError

from .classes import classes_of, is_open
from .coco_file import fault_of, named
from .leaves import leaves_of


class Labels:
    """Counts the labels of a data set's samples, one after the other.

    Args:
        loader (str): Whose data set it is, for messages.
    """

    def __init__(self, loader: str) -> None:
        self.loader = loader
        self.samples = 0
        #: What samples have: ``'box'``, ``'label'`` or, where that is unknown, None.
        self.kind: Optional[str] = None
        self.labelled = 0
        self.counts: Counter = Counter()

    def add(self, info: dict) -> None:
        """Count a sample, whose boxes to ignore are left out."""
        self.samples += 1
        if 'instances' in info:
            self.kind = 'box'
            learned = [
                each for each in info['instances'] if not each.get('ignore_flag')
            ]
            labels = [each['bbox_label'] for each in learned if 'bbox_label' in each]
            self.labelled += bool(learned)
        else:
            labels = _whole_numbers(info.get('gt_label'))
            self.kind = self.kind or ('label' if labels else None)
            self.labelled += bool(labels)
        self.counts.update(labels)

    def check(self, dataset: Dataset, cfg: Config) -> None:
        """Check that there is something to learn, and that the head can.

        Classes that no sample has are named in the log.

        Args:
            dataset (Dataset): That of the samples.
            cfg (Config): With the model's ``num_classes``.

        Raises:
            DataError: No sample has a label or box, or the model's head has too few
                classes.
        """
        if self.kind is None:
            return
        classes = classes_of(dataset)
        if not self.labelled:
            raise DataError(self._nothing(dataset, classes or ()))
        where, num_classes = num_classes_of(student_of(cfg.model))
        outside = [
            label
            for label in self.counts
            if num_classes is not None and not 0 <= label < num_classes
        ]
        # Where a text names the classes of each image, labels are of that.
        if outside and not is_open(dataset):
            least = max(len(classes or ()), max(self.counts) + 1)
            raise DataError(
                f'{self.loader}: {self.counts[outside[0]]} samples have the label '
                f'{outside[0]}, but model.{where}={num_classes} allows 0 to '
                f'{num_classes - 1}; set it to {least}, or correct the labels.'
            )
        absent = [name for i, name in enumerate(classes or ()) if not self.counts[i]]
        if absent:
            print_log(
                f'{self.loader}: no {self.kind} of {len(absent)} of {len(classes)} '
                f'classes in {self.samples} images: {named(absent)}.',
                logger='current',
                level=30,
            )

    def _nothing(self, dataset, classes):
        for leaf in leaves_of(dataset):
            if hasattr(leaf, 'cat_ids') and getattr(leaf, 'ann_file', None):
                fault = fault_of(leaf.ann_file, classes)
                if fault:
                    return (
                        f'{self.loader}: {leaf.ann_file} {fault}; correct the file, '
                        "or the data set's metainfo classes."
                    )
        return (
            f'{self.loader}: 0 of {self.samples} images have a {self.kind} of the '
            f'{len(classes)} classes ({named(classes)}); check the '
            "annotations, and the data set's metainfo classes."
        )


def _whole_numbers(label):
    """A label, or several, as a list; empty where they are something else."""
    numbers = np.ravel([] if label is None else label)
    return numbers.tolist() if numbers.dtype.kind in 'iu' else []


def num_classes_of(model: dict) -> Tuple[str, Optional[int]]:
    """Return where a stock model's config says it, and how many classes it has."""
    for path in ('head', 'bbox_head', 'roi_head.bbox_head'):
        head = model
        for part in path.split('.'):
            head = head.get(part) if isinstance(head, dict) else None
        if isinstance(head, Sequence) and head:
            head = head[0]
        if isinstance(head, dict) and head.get('num_classes') is not None:
            return f'{path}.num_classes', head['num_classes']
    return '', None
