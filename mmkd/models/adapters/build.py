"""What maps a student's tensor to the teacher's shape."""

from typing import Optional, Union

from torch import nn

from mmkd.construct import construct, registered
from mmkd.errors import ConfigError

from .conv_adapter import ConvAdapter
from .linear_adapter import LinearAdapter


def build_adapter(
    student: tuple, teacher: tuple, where: str, spec: Union[str, dict, None] = 'auto'
) -> Optional[nn.Module]:
    """Make what maps a student's tensor to the teacher's shape.

    Args:
        student (tuple): Shape of the student's tensor, from a dry run.
        teacher (tuple): Shape of the teacher's.
        where (str): Names both modules, for the message.
        spec (str | dict, optional): ``'auto'`` infers a 1x1 convolution or a linear
            map where channels differ; None allows no adapter; a dict is a registered
            type, built with ``in_channels`` and ``out_channels``.

    Returns:
        nn.Module | None: None where the shapes agree and nothing was asked for.

    Raises:
        ConfigError: The shapes cannot be brought together so.
    """
    axis = _channel_axis(student)
    channels = dict(
        in_channels=student[axis], out_channels=teacher[_channel_axis(teacher)]
    )
    if isinstance(spec, dict):
        arguments = dict(channels, **spec)
        adapter = registered(where, arguments.pop('type', None), 'Adapter')
        return construct(where, adapter, **arguments)
    if spec not in ('auto', None):
        raise ConfigError(f"adapter must be 'auto', None or a dict, got {spec!r}.")
    got = f'{where}: shapes {tuple(student)} and {tuple(teacher)}'
    if len(student) != len(teacher):
        raise ConfigError(f'{got} differ in rank; choose two modules of one kind.')
    if student[0] != teacher[0]:
        raise ConfigError(
            f'{got} are of {student[0]} and {teacher[0]} images, as where one side '
            'makes several of each (the branches of a TridentNet in training); choose '
            'modules that keep the batch.'
        )
    if _without(student, axis) != _without(teacher, axis):
        raise ConfigError(
            f'{got} differ in size, not only in channels; choose modules of one '
            f'stride, or {_how_to_resize(len(student))}.'
        )
    if student[axis] == teacher[axis]:
        return None
    if spec is None:
        raise ConfigError(f"{got} differ in channels; adapter='auto' makes a map.")
    return (ConvAdapter if len(student) == 4 else LinearAdapter)(**channels)


def _how_to_resize(rank):
    if rank == 4:
        return "say whose maps to resize in on=dict(..., resize='student' or 'teacher')"
    return (
        'register an adapter that resizes and name it in on=dict(..., '
        'adapter=dict(type=...))'
    )


def _channel_axis(shape):
    return 1 if len(shape) == 4 else -1


def _without(shape, axis):
    sizes = list(shape)
    del sizes[axis]
    return sizes
