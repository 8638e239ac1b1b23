"""Heads whose columns are no classes of which one is true."""

from typing import Sequence

from mmpretrain.models import MultiLabelClsHead
from torch import nn

from mmkd.errors import ConfigError


def check_single_label(
    where: str, model: nn.Module, paths: Sequence[str], role: str
) -> None:
    """Refuse multi-label heads, and what is in or around them.

    Args:
        where (str): Begins the message.
        model (nn.Module): The network.
        paths (Sequence[str]): Modules, where there are such, whose outputs are taken
            for predictions of one class.
        role (str): ``'student'`` or ``'teacher'``, for the message.

    Raises:
        ConfigError: There is such a head.
    """
    for name, module in model.named_modules():
        if not isinstance(module, MultiLabelClsHead):
            continue
        if any(_within(name, path) or _within(path, name) for path in paths):
            raise ConfigError(
                f'{where}: the {type(module).__name__} of the {role} says yes or no to '
                'each class, and what is compared here are predictions of a single '
                "one; compare features, such as 'neck' with FitNetLoss."
            )


def _within(path, other):
    return f'{path}.'.startswith(f'{other}.')
