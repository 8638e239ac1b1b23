"""Checks while training: class names before the first step, finite losses."""

from typing import Dict

import torch
from mmengine.dist import all_reduce
from mmengine.visualization import Visualizer
from torch import Tensor

from mmkd.errors import CheckpointError, NonFiniteLossError

from .pairings import Aligned

#: When or where a loss was not finite, if it is not the one at hand.
EARLIER, ELSEWHERE = ' in one of the last steps', ' in another process'


def check_classes(teacher_classes, name: str) -> None:
    """Compare a teacher's class names with those of the training set.

    Either may be unknown, which passes. The loops of MMEngine publish the training
    set's meta through the Visualizer.

    Args:
        teacher_classes (tuple[str], optional): As saved in its checkpoint.
        name (str): The teacher's name.

    Raises:
        CheckpointError: The names or their order differ.
    """
    current = Visualizer._instance_dict
    meta = Visualizer.get_current_instance().dataset_meta if current else None
    classes = (meta or {}).get('classes')
    if teacher_classes is None or classes is None:
        return
    known, wanted = tuple(teacher_classes), tuple(classes)
    if known == wanted:
        return
    if len(known) != len(wanted):
        detail = f'it knows {len(known)} classes, the training set has {len(wanted)}'
    else:
        index = [a == b for a, b in zip(known, wanted)].index(False)
        detail = (
            f'class {index} is {known[index]!r} to it and {wanted[index]!r} in the '
            'training set'
        )
    advice = 'use a teacher of this data set'
    if sorted(known) == sorted(wanted):
        advice += (
            ", or give the data set this order: in COCO's format, where labels follow "
            "the file's categories, to these (with their ids) and to metainfo classes, "
            'else to metainfo classes'
        )
    raise CheckpointError(
        f'the teacher {name!r} was trained on other classes: {detail}; {advice}.'
    )


class FiniteCheck:
    """Stops training at a loss that is not finite, with its name.

    In a distributed run every process stops, at the same step. On the CPU that is at
    once. Elsewhere flags gather on the device and are read at intervals, as reading
    them waits for the device; :class:`~mmkd.engine.hooks.FiniteLossHook` reads them
    before each checkpoint, too.

    Args:
        interval (int): Losses noted between two readings. Defaults to 50.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._noted = 0
        #: By the loss's name, whether it was not finite since the last reading.
        self._flags: Dict[str, Tensor] = {}

    def note(self, name: str, value: Tensor, aligned: Aligned) -> None:
        """Take one loss and what it compared; every process notes the same losses.

        Raises:
            NonFiniteLossError: It is time to read, and a loss of some process is not
                finite, or was not since the last reading.
        """
        bad = ~value.detach().isfinite().all()
        self._flags[name] = bad | self._flags.get(name, False)
        self._noted += 1
        if value.device.type == 'cpu' or self._noted % self.interval == 0:
            self._read({name: _cause(aligned)} if bad else {})

    def read(self) -> None:
        """Read what was noted since the last reading, of all processes together.

        Raises:
            NonFiniteLossError: A loss of some process was not finite.
        """
        self._read({})

    def read_alone(self) -> None:
        """Read what this process noted, where the others do not read, and keep it.

        Raises:
            NonFiniteLossError: A loss of this process was not finite.
        """
        for name, flag in self._flags.items():
            if flag:
                self._stop(name, EARLIER)

    def _read(self, causes):
        if not self._flags:
            return
        names, flags = zip(*self._flags.items())
        self._flags = {}
        anywhere = torch.stack(flags).int()
        all_reduce(anywhere, 'max')
        for name, flag, bad in zip(names, flags, anywhere.tolist()):
            if bad:
                self._stop(name, causes.get(name, EARLIER) if flag else ELSEWHERE)

    def _stop(self, name, cause):
        self._flags = {}  # whoever goes on in spite of it begins anew
        raise NonFiniteLossError(
            f'{name} is not finite{cause}; lower the learning rate or the weight, '
            'lengthen the warm-up, or train without float16.'
        )


def _cause(aligned):
    sides = dict(student=aligned.student, teacher=aligned.teacher)
    culprits = [
        f'the {side}'
        for side, tensors in sides.items()
        if not all(tensor.isfinite().all() for tensor in tensors)
    ]
    if not culprits:
        return ': both sides are finite'
    return f': {" and ".join(culprits)} put out non-finite values'
