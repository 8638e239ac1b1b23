"""What losses are given: a tensor, or one a level."""

from typing import List, NamedTuple, Optional, Sequence, Union

from torch import Tensor, nn

from mmkd.errors import ConfigError

#: A level's tensor, or those of several levels.
Levels = Union[Tensor, Sequence[Tensor]]


class LossInputs(NamedTuple):
    """What a loss is going to compare, known when the model is built.

    Shapes are of a dry run on two made-up images; sizes of maps differ in training.
    """

    #: Names the loss and both modules; begins every error message.
    where: str
    #: Shapes of the student's tensors, after adapters, one a level.
    student: List[tuple]
    teacher: List[tuple]
    #: The modules that put them out.
    student_outputs: Sequence[str]
    teacher_outputs: Sequence[str]
    #: The :class:`~mmkd.models.teacher.Teacher`, as loaded; None for a loss that is
    #: used alone. Keep it and not its network: only the first survives a copy of the
    #: Distiller uncopied.
    source: object


def listed(loss: nn.Module, name: str, levels: Levels) -> List[Tensor]:
    """Return the levels of a side; a tensor is one.

    Raises:
        ConfigError: They are no tensors of floating point, or none.
    """
    every = [levels] if isinstance(levels, Tensor) else levels
    if not isinstance(every, (list, tuple)) or not every or not _are_tensors(every):
        raise ConfigError(
            f'{type(loss).__name__}: {name} must be a tensor, or a list of one for '
            f'each level, got {kind_of(levels)}.'
        )
    for level in every:
        if not level.is_floating_point():
            raise ConfigError(
                f'{type(loss).__name__}: {name} must be of floating point, got a '
                f'tensor of {level.dtype}; give what a network computes, before it is '
                'rounded or compared.'
            )
    return list(every)


def spread(loss: nn.Module, name: str, values, count: int) -> List[Optional[Tensor]]:
    """Return what is said of each level; a tensor, or nothing, is said of all.

    Raises:
        ConfigError: It is no tensor, or of another number of levels.
    """
    if values is None or isinstance(values, Tensor):
        values = [values] * count
    every = values if isinstance(values, (list, tuple)) else [values]
    given = [value for value in every if value is not None]
    are_rows = _are_tensors(given) and all(value.dim() for value in given)
    if len(every) != count or not are_rows:
        raise ConfigError(
            f'{type(loss).__name__}: {name} must be a tensor of rows, or a list of one '
            f'for each of the {count} levels, got {kind_of(values)}.'
        )
    return list(every)


def _are_tensors(values):
    return all(isinstance(value, Tensor) for value in values)


def kind_of(value) -> str:
    """Say what a value is, for messages."""
    if isinstance(value, (list, tuple)):
        return f'a list of {", ".join(map(kind_of, value)) or "nothing"}'
    if isinstance(value, Tensor):
        return f'a tensor {tuple(value.shape)}'
    return f'a {type(value).__name__}'
