"""Building a loss from its entry in a config."""

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
    found = registered(owner, kind, 'Loss')
    loss = construct(f'{owner} ({kind})', found, **arguments)
    if not hasattr(loss, 'needs_target'):
        raise ConfigError(
            f'{owner}: {kind!r} is no distillation loss; derive it from '
            'mmkd.models.losses.DistillLoss.'
        )
    return loss
