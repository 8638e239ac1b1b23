"""Class names, checked before the first step."""

from typing import Optional, Sequence

from mmengine.visualization import Visualizer
from torch import nn

from mmkd.errors import CheckpointError

#: Where networks keep the head that says how many classes they know.
HEADS = ('head', 'bbox_head', 'roi_head.bbox_head')


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
    detail = other_classes(teacher_classes, classes, 'the training set')
    if detail is None:
        return
    advice = 'use a teacher of this data set, or compare features in front of the heads'
    if sorted(teacher_classes) == sorted(classes):
        advice += (
            ", or give the data set this order: in COCO's format, where labels follow "
            "the file's categories, to these (with their ids) and to metainfo classes, "
            'else to metainfo classes'
        )
    raise CheckpointError(
        f'the teacher {name!r} was trained on other classes: {detail}; {advice}.'
    )


def other_classes(
    known: Optional[Sequence[str]], wanted: Optional[Sequence[str]], where: str
) -> Optional[str]:
    """Say in what class names differ; None where they do not, or nobody knows.

    Args:
        known (Sequence[str], optional): The teacher's.
        wanted (Sequence[str], optional): Those of a data set.
        where (str): What this is called.
    """
    if known is None or wanted is None or tuple(known) == tuple(wanted):
        return None
    if len(known) != len(wanted):
        return f'it knows {len(known)} classes, {where} has {len(wanted)}'
    index = [a == b for a, b in zip(known, wanted)].index(False)
    return f'class {index} is {known[index]!r} to it and {wanted[index]!r} in {where}'


def num_classes_in(network: nn.Module) -> Optional[int]:
    """Return how many classes a network says that it knows, None if it does not."""
    for path in HEADS:
        head = network
        for part in path.split('.'):
            head = getattr(head, part, None)
        head = head[0] if isinstance(head, nn.ModuleList) else head
        if _num_classes(head):
            return head.num_classes
    return None


def predicts_classes(network: nn.Module, path: str) -> bool:
    """Whether what a module puts out has columns that are classes.

    That is a head, or a layer in it as wide as scores or boxes of its classes are.

    Args:
        network (nn.Module): The network.
        path (str): Dotted name of the module.
    """
    parts = path.split('.')
    owners = ('.'.join(parts[:end]) for end in range(len(parts), 0, -1))
    modules = (network.get_submodule(owner) for owner in owners)
    head = next((module for module in modules if _num_classes(module)), None)
    if head is None or 'rpn' in f'{parts[0]} {type(head).__name__}'.lower():
        return False  # of any object, whatever it is
    module = network.get_submodule(path)
    width = getattr(module, 'out_channels', getattr(module, 'out_features', None))
    classes = {_num_classes(head), _num_classes(head) + 1}  # with a background
    each = {1, 4, getattr(head, 'num_base_priors', 1)}
    return module is head or width in {a * b for a in classes for b in each}


def _num_classes(module):
    """A module's number of classes; 0 where it has none, or does not say."""
    number = getattr(module, 'num_classes', None)
    return number if type(number) is int and number > 0 else 0
