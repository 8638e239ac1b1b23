"""Attention transfer."""

from typing import Tuple

import torch.nn.functional as F
from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import positive


def at_loss(student: Tensor, teacher: Tensor, p: float = 2) -> Tensor:
    r"""Mean squared difference of normalised attention maps.

    .. math:: \frac{1}{N H W} \sum_n
        \Big\| \frac{a^S_n}{\|a^S_n\|_2} - \frac{a^T_n}{\|a^T_n\|_2} \Big\|_2^2,
        \quad a_n = \frac{1}{C} \sum_c |x_{nc}|^p

    where ``a`` has one value a pixel. The larger of the two maps is pooled to the
    smaller first, see :func:`pool_to_smaller`. The sizes of the features play no part,
    only where they are large.

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps ``(N, C', H', W')``.
        p (float): Power. Defaults to 2.

    Returns:
        Tensor: A scalar, averaged over pixels and samples.
    """
    student, teacher = pool_to_smaller(student, teacher)
    return F.mse_loss(_attention(student, p), _attention(teacher, p))


def _attention(maps, p):
    return F.normalize(maps.abs().pow(p).mean(dim=1).flatten(1))


def pool_to_smaller(student: Tensor, teacher: Tensor) -> Tuple[Tensor, Tensor]:
    """Average-pool the larger of two maps ``(N, C, H, W)`` to the size of the smaller.

    Returns:
        tuple[Tensor, Tensor]: Student and teacher, of one height and width.
    """
    size = tuple(map(min, student.shape[2:], teacher.shape[2:]))
    return _pool(student, size), _pool(teacher, size)


def _pool(maps, size):
    # At its own size a map is left alone: the gradient of adaptive pooling is not
    # deterministic on a GPU.
    return maps if maps.shape[2:] == size else F.adaptive_avg_pool2d(maps, size)


@MODELS.register_module()
class ATLoss(DistillLoss):
    """`Paying More Attention to Attention: Improving the Performance of Convolutional
    Neural Networks via Attention Transfer <https://arxiv.org/abs/1612.03928>`_, see
    :func:`at_loss`.

    Channels and sizes may differ; labels are not used. Several levels are summed.

    Args:
        p (float): Power, at least 1: below, the gradient is infinite at zero. Defaults
            to 2.

    Raises:
        ConfigError: ``p`` is below 1.
    """

    ranks = (4,)
    adapts = False
    sum_levels = True

    def __init__(self, p: float = 2) -> None:
        super().__init__()
        if positive('ATLoss', 'p', p) < 1:
            raise ConfigError(f'ATLoss: p must be at least 1, got {p!r}.')
        self.p = p

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`at_loss`."""
        return at_loss(student, teacher, self.p)
