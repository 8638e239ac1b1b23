"""Checks of what a loss is to compare."""

import math
from typing import Dict, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError, MisfitError

from .levels import kind_of
from .numerics import promoted

#: For messages, by number of dimensions.
KINDS = {
    2: 'rows (N, C)',
    3: 'logits of cells (N, K, M)',
    4: 'maps (N, C, H, W)',
}
#: What to name in ``on=`` beside the pairings that give tensors of so many dimensions.
MODULES = {
    2: "pooled features such as 'neck' of a classifier",
    4: "a stage such as 'backbone.layer3', or the neck of a detector",
}
#: What is needed of these comes as targets.
LABELS = ('labels', 'soft_labels')


def check_shapes(
    loss: nn.Module,
    where: str,
    student: Sequence[Union[Tensor, tuple]],
    teacher: Sequence[Union[Tensor, tuple]],
    model: Optional[nn.Module] = None,
) -> None:
    """Refuse sides that a loss cannot compare.

    Args:
        loss (DistillLoss): The loss.
        where (str): Begins the message.
        student (Sequence[Tensor | tuple]): The student's tensors, one a level, or
            their shapes.
        teacher (Sequence[Tensor | tuple]): The teacher's.
        model (nn.Module, optional): The teacher, where it is known: what it has is
            advised.

    Raises:
        ConfigError: Dimensions, samples, levels or, if the loss needs them equal,
            shapes do not fit.
    """
    student, teacher = map(_shapes, (student, teacher))
    for shape in [*student, *teacher]:
        if loss.ranks is not None and len(shape) not in loss.ranks:
            kinds = ' or '.join(KINDS[rank] for rank in loss.ranks)
            raise ConfigError(
                f'{where}: this loss compares {kinds}, got shape {shape}; choose '
                f'{_what_has(loss, model)}.'
            )
    if loss.pairs_levels and len(student) != len(teacher):
        raise MisfitError(
            f'{where}: got {len(student)} levels of the student and {len(teacher)} of '
            'the teacher; each of the student needs one of the teacher.'
        )
    for of_student, of_teacher in zip(student, teacher):
        if of_student[0] != of_teacher[0]:
            raise MisfitError(
                f'{where}: got {of_student[0]} samples of the student and '
                f'{of_teacher[0]} of the teacher (shapes {of_student} and '
                f'{of_teacher}); choose modules that keep the batch as the first '
                'dimension.'
            )
        if loss.adapts and of_student != of_teacher:
            raise MisfitError(
                f'{where}: this loss compares tensors of one shape, got {of_student} '
                f'of the student and {of_teacher} of the teacher; bring the '
                "student's to the teacher's first, as an adapter does."
            )
    for shape in [*student, *teacher]:
        if len(shape) in (2, 3) and shape[1] < loss.least_columns:
            raise ConfigError(
                f'{where}: this loss learns nothing from fewer than '
                f'{loss.least_columns} columns, got shape {shape}; compare features, '
                "such as on='neck' with FitNetLoss, the background of a detector too, "
                'or models of more classes.'
            )


def check_fitted(
    loss: nn.Module,
    fitted: Tuple[Sequence[tuple], Sequence[tuple]],
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
) -> None:
    """Refuse what a loss that learns was not made for.

    Args:
        loss (DistillLoss): The loss.
        fitted (tuple): Shapes of student's and teacher's levels that it was fitted to.
        student (Sequence[Tensor]): The student's tensors, one a level.
        teacher (Sequence[Tensor]): The teacher's.

    Raises:
        ConfigError: Levels, channels or precision are others.
    """
    own, got = (
        [[shape[1:2] for shape in side] for side in sides]
        for sides in (fitted, map(_shapes, (student, teacher)))
    )
    if not loss.learns_by_level:
        own = [side[:1] * len(levels) for side, levels in zip(own, got)]
    if own != got:
        raise ConfigError(
            f'{type(loss).__name__} was fitted to shapes {fitted[0]} of the student and'
            f' {fitted[1]} of the teacher, and gets {_shapes(student)} and '
            f'{_shapes(teacher)}; make another for other levels or channels.'
        )
    parameter, given = next(loss.parameters()), promoted(student[0]).dtype
    if parameter.dtype != given:
        raise ConfigError(
            f'{type(loss).__name__} learns in {parameter.dtype} and gets {given}; '
            'move it with .to(dtype), or give it the precision that it was fitted to.'
        )


def check_needs(
    loss: nn.Module,
    student: Sequence[Tensor],
    targets: Sequence[Optional[Tensor]],
    side: Dict[str, object],
) -> None:
    """Refuse a call without what the loss needs, or with labels of other rows.

    Args:
        loss (DistillLoss): The loss.
        student (Sequence[Tensor]): The student's tensors, one a level.
        targets (Sequence[Tensor | None]): Labels of each level.
        side (dict[str, object]): What else was given.

    Raises:
        ConfigError: Something is missing or does not fit.
    """
    unknown = [name for name in side if name not in loss.needs]
    if unknown:
        raise ConfigError(
            f'{type(loss).__name__} takes no {unknown[0]}; it needs '
            f'{", ".join(loss.needs) or "nothing"} beside the two sides.'
        )
    for name in loss.needs:
        if name in LABELS:
            _check_rows(loss, 'labels', student, targets)
            for level, target in zip(student, targets):
                _check_labels(loss, level, target)
        elif name == 'index' and not isinstance(side.get(name), (Tensor, type(None))):
            raise ConfigError(
                f'{type(loss).__name__}: index must be a tensor (N,), got a '
                f'{type(side[name]).__name__}.'
            )
        elif side.get(name) is None:
            raise ConfigError(
                f'{type(loss).__name__} needs the {name} of what it compares, got '
                f'none; give it as loss(student, teacher, {name}=...).'
            )


def check_weights(
    loss: nn.Module,
    student: Sequence[Tensor],
    weights: Sequence[Optional[Tensor]],
    divisor: Union[Tensor, float, None],
) -> None:
    """Refuse weights where there are no rows, or of other rows.

    Args:
        loss (DistillLoss): The loss.
        student (Sequence[Tensor]): The student's tensors, one a level.
        weights (Sequence[Tensor | None]): Weight ``(N,)`` of each row of each level.
        divisor (Tensor | float | None): Of the sum over rows.

    Raises:
        ConfigError: The loss cannot weigh rows, or not so.
    """
    if not loss.weighs_rows:
        raise ConfigError(
            f'{type(loss).__name__} has no value for each row to weight; choose a loss '
            'that has, such as KDLoss, or a pairing without weights.'
        )
    _check_rows(loss, 'weights', student, weights)
    for shape in _shapes(level for level in weights if level is not None):
        if len(shape) != 1:
            raise ConfigError(
                f'{type(loss).__name__} takes weights of shape (N,), got {shape}; give '
                'each row a single one.'
            )
    if divisor is None or isinstance(divisor, Tensor) and divisor.dim() == 0:
        return  # of a tensor nothing is read: that would wait for a GPU
    is_number = isinstance(divisor, (int, float)) and math.isfinite(divisor)
    if not is_number or divisor <= 0:
        raise ConfigError(
            f'{type(loss).__name__}: the divisor must be a number above 0, got '
            f'{divisor if isinstance(divisor, (int, float)) else kind_of(divisor)}.'
        )


def _check_labels(loss, level, target):
    if target is None or target.dim() != 1:
        return  # soft ones, or refused by the loss itself
    classes = level.size(1)
    # Of a tensor on a GPU, and of a fake one, nothing is read: that would wait.
    at_hand = type(target) is Tensor and target.device.type == 'cpu'
    if target.dtype != torch.long:
        got = f'{target.dtype}'
    elif at_hand and len(target) and not 0 <= target.min() <= target.max() < classes:
        got = f'labels from {target.min()} to {target.max()}'
    else:
        return
    raise ConfigError(
        f'{type(loss).__name__}: labels must be int64 from 0 to {classes - 1}, as many '
        f'as there are columns, got {got}; leave out rows that are to be ignored.'
    )


def _check_rows(loss, name, student, values):
    lengths = [None if value is None else len(value) for value in values]
    rows = [len(level) for level in student]
    pairs = zip(lengths, rows)
    if len(lengths) != len(rows) or any(own not in (None, n) for own, n in pairs):
        raise ConfigError(
            f'{type(loss).__name__}: got {name} for {lengths} rows, but the levels of '
            f'the student have {rows}; give each row its own.'
        )


def _shapes(levels):
    return [tuple(getattr(level, 'shape', level)) for level in levels]


def _what_has(loss, model):
    # A loss that is used alone needs no other package until it is used wrongly.
    from ..available import classifies, named_for

    names, rank = named_for(loss, model), loss.ranks[0]
    pools = rank != 2 or model is None or classifies(model)
    if rank in MODULES and pools and not set(LABELS) & set(loss.needs):
        names.append(MODULES[rank])
    return ', '.join(names) or 'a loss that compares what these are, say FitNetLoss'
