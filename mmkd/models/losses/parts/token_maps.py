"""Tokens of vision transformers as maps."""

import math
from typing import Sequence, Tuple

from torch import Tensor

from mmkd.errors import ConfigError

#: Most tokens that stand in front of those of the patches: class and distillation.
MAX_EXTRA = 2


def map_shape(shape: Sequence[int], where: str = 'as_map') -> Tuple[int, ...]:
    """Return the shape ``(N, C, H, W)`` that :func:`as_map` gives.

    Args:
        shape (Sequence[int]): Of a map ``(N, C, H, W)`` or of tokens ``(N, L, C)``.
        where (str): Begins the message. Defaults to ``'as_map'``.

    Raises:
        ConfigError: It is neither, or the tokens fill no square.
    """
    if len(shape) == 4:
        return tuple(shape)
    if len(shape) != 3:
        raise ConfigError(
            f'{where}: needs maps (N, C, H, W) or tokens (N, L, C), got shape '
            f"{tuple(shape)}; choose a stage such as 'backbone.layer1'."
        )
    samples, tokens, channels = shape
    side = math.isqrt(tokens)
    if side == 0 or tokens - side**2 > MAX_EXTRA:
        raise ConfigError(
            f'{where}: the {tokens} tokens of shape {tuple(shape)} fill no square, '
            f'not even without {MAX_EXTRA} in front; choose a stage that puts out '
            'tokens (N, L, C) of a square image, or maps (N, C, H, W).'
        )
    return samples, channels, side, side


def as_map(features: Tensor, where: str = 'as_map') -> Tensor:
    """Lay tokens out as the square map that they were.

    One or two tokens more than a square are those of class and distillation, which
    stand in front in ViT and DeiT; they are left out. The shape alone does not tell a
    map of 2x8 from one of 4x4: images have to be square.

    Args:
        features (Tensor): Tokens ``(N, L, C)``, row by row; a map ``(N, C, H, W)``
            is returned as it is.
        where (str): Begins the message. Defaults to ``'as_map'``.

    Returns:
        Tensor: ``(N, C, H, W)``.

    Raises:
        ConfigError: See :func:`map_shape`.
    """
    shape = map_shape(features.shape, where)
    if features.dim() == 4:
        return features
    patches = features[:, -shape[2] * shape[3] :]
    return patches.transpose(1, 2).reshape(shape)
