"""Building a loss from its entry in a config."""

from typing import Optional

from mmkd.construct import construct, registered
from mmkd.errors import ConfigError

from .base import DistillLoss


def build_loss(owner: str, kind: str, arguments: dict) -> DistillLoss:
    """Build a registered loss.

    Args:
        owner (str): What it belongs to, for the message.
        kind (str): Its registered name.
        arguments (dict): Its arguments.

    Raises:
        ConfigError: It is unknown, has other arguments or is no distillation loss.
    """
    loss_class = registered(owner, kind, 'Loss')
    loss = construct(f'{owner} ({kind})', loss_class, **arguments)
    if not isinstance(loss, DistillLoss):
        raise ConfigError(
            f'{owner}: {kind!r} is no distillation loss; derive it from '
            'mmkd.models.losses.DistillLoss.'
        )
    return loss


def build_inside(owner: str, loss: Optional[dict], default: dict) -> DistillLoss:
    """Build the loss inside another.

    Args:
        owner (str): The other, for the message.
        loss (dict, optional): Type and arguments.
        default (dict): What to build in place of None.

    Raises:
        ConfigError: It is no such dict, or cannot be built.
    """
    loss = default if loss is None else loss
    if not isinstance(loss, dict) or 'type' not in loss:
        raise ConfigError(
            f'{owner}: loss must be a dict with a type, such as {default!r}, got '
            f'{loss!r}.'
        )
    arguments = {key: value for key, value in loss.items() if key != 'type'}
    return build_loss(owner, loss['type'], arguments)
