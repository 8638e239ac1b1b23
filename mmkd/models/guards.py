"""Checks while training: class names before the first step, finite losses."""

from mmengine.visualization import Visualizer
from torch import Tensor

from mmkd.errors import CheckpointError, NonFiniteLossError

from .pairings import Aligned


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
    ours = (meta or {}).get('classes')
    if teacher_classes is None or ours is None:
        return
    ours, theirs = tuple(ours), tuple(teacher_classes)
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        detail = f'it knows {len(theirs)} classes, the training set has {len(ours)}'
    else:
        index = [a == b for a, b in zip(ours, theirs)].index(False)
        detail = (
            f'class {index} is {theirs[index]!r} to it and {ours[index]!r} in the '
            'training set'
        )
    raise CheckpointError(
        f'the teacher {name!r} was trained on other classes: {detail}; use a teacher '
        "of this data set, or set the data set's metainfo classes to the same order."
    )


class FiniteCheck:
    """Stops training at a loss that is not finite, with its name.

    On the CPU at once. Elsewhere flags gather on the device and are read at
    intervals, as reading them waits for the device.

    Args:
        interval (int): Steps between two readings. Defaults to 50.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._flags: dict = {}
        self._steps: dict = {}

    def note(self, name: str, value: Tensor, aligned: Aligned) -> None:
        """Take one loss and what it compared.

        Raises:
            NonFiniteLossError: It is not finite, or was not since the last reading.
        """
        bad = ~value.detach().isfinite()
        if value.device.type != 'cpu':
            bad = self._flags[name] = bad | self._flags.get(name, False)
            self._steps[name] = self._steps.get(name, 0) + 1
            if self._steps[name] % self.interval:
                return
        if bad:
            sides = dict(student=aligned.student, teacher=aligned.teacher)
            culprits = [
                f'the {side}'
                for side, tensors in sides.items()
                if not all(tensor.isfinite().all() for tensor in tensors)
            ]
            cause = (
                f'{" and ".join(culprits)} put out non-finite values'
                if culprits
                else 'both sides are finite'
            )
            raise NonFiniteLossError(
                f'{name} is not finite: {cause}; lower the learning rate or the '
                'weight, lengthen the warm-up, or train without float16.'
            )
