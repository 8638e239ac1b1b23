"""Class names, checked before the first step."""

from mmengine.visualization import Visualizer

from mmkd.errors import CheckpointError


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
