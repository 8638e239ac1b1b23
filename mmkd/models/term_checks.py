"""What a term is refused for before training."""

import inspect
from typing import Sequence

import torch
from torch import Tensor

from mmkd.construct import registered
from mmkd.errors import ConfigError, MisfitError

from .teacher import Teacher

#: What ``on=`` says of modules, and no loss takes.
OF_MODULES = ('adapter', 'resize')


def check_place(name: str, kind: str, arguments: dict) -> None:
    """Refuse beside a loss's own arguments what belongs to its modules.

    Args:
        name (str): Of the term.
        kind (str): The loss's registered name.
        arguments (dict): What is given to it.

    Raises:
        ConfigError: There is such a thing, and the loss takes none.
    """
    own = inspect.signature(registered(name, kind, 'Loss'))
    for key in [key for key in OF_MODULES if key in arguments]:
        try:
            own.bind_partial(**{key: arguments[key]})
        except TypeError:
            raise ConfigError(
                f'{name}: {key}={arguments[key]!r} belongs to the modules that are '
                f'compared; give on=dict(student=..., teacher=..., {key}=...).'
            ) from None


def padding_of(source: Teacher, shape: tuple, wanted: tuple) -> str:
    """Say that maps are of other sizes where the teacher's images alone are padded.

    Args:
        source (Teacher): The teacher.
        shape (tuple): Of the student's map.
        wanted (tuple): Of the teacher's.

    Returns:
        str: A clause for a message, empty where sizes agree or padding is not why.
    """
    divisor = source.renormalise.divisor
    if divisor == 1 or source.input_size is not None or shape[2:] == wanted[2:]:
        return ''
    return (
        f", with the teacher's images padded to multiples of {divisor} (give both one "
        'pad_size_divisor, if that is why)'
    )


def check_finite(value: Tensor, inputs: Sequence[Tensor], where: str) -> None:
    """Refuse what would be NaN or infinite from the first step on.

    Args:
        value (Tensor): The loss of finite made-up tensors.
        inputs (Sequence[Tensor]): What it has gradients by.
        where (str): Begins the message.

    Raises:
        ConfigError: The value or a gradient is not finite.
    """
    broken = '' if value.isfinite() else 'value'
    if value.requires_grad and not broken:
        gradients = torch.autograd.grad(value, inputs, allow_unused=True)
        known = [gradient for gradient in gradients if gradient is not None]
        broken = '' if all(g.isfinite().all() for g in known) else 'gradient'
    if broken:
        raise ConfigError(
            f'{where}: the {broken} of the loss is not finite on made-up images, '
            'though what it compares is; take other arguments, or another loss.'
        )


def check_columns(shape: tuple, wanted: tuple, where: str) -> None:
    """Refuse predictions of other numbers of classes.

    Args:
        shape (tuple): Of the student's.
        wanted (tuple): Of the teacher's.
        where (str): Begins the message.

    Raises:
        MisfitError: Columns differ.
    """
    if shape[1] != wanted[1]:
        raise MisfitError(
            f'{where}: the student has {shape[1]} columns and the teacher {wanted[1]}; '
            'logits and boxes are only comparable between models of the same classes.'
        )
