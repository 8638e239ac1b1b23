"""Trained networks that only answer: built, given their weights, frozen for good."""

import logging
from typing import Optional, Tuple, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel, revert_sync_batchnorm
from torch import nn

from mmkd.errors import CheckpointError, ConfigError

from .load_weights import load_weights
from .stock_network import build_network


def frozen_network(
    config: Union[str, Config, dict],
    checkpoint: Optional[str],
    whose: str,
    source: Optional[str] = None,
    prefix: Optional[str] = None,
) -> Tuple[nn.Module, Optional[tuple]]:
    """Build the network of a config, load its weights, and freeze it.

    Args:
        config (str | Config | dict): See :func:`build_network`.
        checkpoint (str, optional): Path or URL of its weights, loaded strictly. A plain
            backbone takes those of a classifier, too. Without one they are random.
        whose (str): What it is, for messages, such as ``'the teacher'``.
        source (str, optional): Where its config is from, for messages.
        prefix (str, optional): What its weights' names begin with in a file of several
            networks.

    Returns:
        tuple[nn.Module, tuple | None]: The network, without gradients, in eval mode and
        without batch norms that wait for other processes; and the names of the
        checkpoint's classes.

    Raises:
        ConfigError: The config cannot be read or has no model, or there is a prefix
            without a checkpoint.
        CheckpointError: The checkpoint cannot be read or does not fit.
    """
    if prefix and checkpoint is None:
        raise ConfigError(
            f'{whose}: prefix={prefix!r} is what names in its checkpoint begin with, '
            'but it has none; give checkpoint=PATH or URL, or leave prefix out.'
        )
    model, classes = build_network(config, whose), None
    if checkpoint is not None:
        about = ', '.join(filter(None, (type(model).__name__, source)))
        part = None if isinstance(model, BaseModel) else 'backbone.'
        name = f'{whose} ({about})'
        classes = load_weights(model, checkpoint, name, part, prefix).classes
    model = revert_sync_batchnorm(model)
    freeze(model)
    return model, classes


def freeze(module: nn.Module) -> None:
    """Let a module learn nothing and gather no statistics."""
    module.requires_grad_(False)
    module.eval()  # a statement: mmpretrain's backbones return nothing


def check_trained(
    checkpoint: Optional[str],
    allow_untrained: bool,
    whose: str,
    argument: str,
    purpose: str,
    source: str,
) -> None:
    """Refuse a network without a checkpoint, or warn of it where that is meant.

    Args:
        checkpoint (str, optional): Path or URL.
        allow_untrained (bool): Random weights are meant.
        whose (str): What the network is, such as ``'the teacher'``.
        argument (str): The argument of a config that takes the checkpoint.
        purpose (str): What random weights would be for, such as ``'freeze'``.
        source (str): Where its config is from.

    Raises:
        CheckpointError: There is none, and that is not meant.
        ConfigError: It is not said whether that is meant.
    """
    if not isinstance(allow_untrained, bool):
        raise ConfigError(
            f'{whose}: allow_untrained must be True or False, got {allow_untrained!r}.'
        )
    if checkpoint is not None:
        return
    if not allow_untrained:
        raise CheckpointError(
            f'{whose} has no checkpoint: give {argument}=dict(checkpoint=PATH or URL), '
            f'or allow_untrained=True to {purpose} random weights on purpose.'
        )
    print_log(
        f'{whose} ({source}) is untrained: its weights are random.',
        logger='current',
        level=logging.WARNING,
    )


def source_of(config: Union[str, Config, dict]) -> str:
    """Say where a network's config is from."""
    return config if isinstance(config, str) else 'inline config'
