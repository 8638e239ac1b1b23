"""Neuron selectivity transfer."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .at_loss import pool_to_smaller
from .base import DistillLoss


def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Maximum mean discrepancy between the channels of two maps.

    .. math:: \frac{1}{N} \sum_n \Big[
        \frac{1}{C_S^2} \sum_{i,j} k(s_{ni}, s_{nj})
        + \frac{1}{C_T^2} \sum_{i,j} k(t_{ni}, t_{nj})
        - \frac{2}{C_S C_T} \sum_{i,j} k(s_{ni}, t_{nj}) \Big]

    where ``s`` and ``t`` are the channels as vectors of pixels, each of unit length,
    and :math:`k(x, y) = (x^\top y)^2` is the polynomial kernel of degree 2 without
    offset. The larger of the two maps is average-pooled to the smaller first. The
    second term has no gradient; it makes the value a squared distance. The kernels take
    memory for ``N (C_S + C_T)^2`` numbers at most, however many pixels there are.

    Args:
        student (Tensor): Maps ``(N, C_S, H, W)``.
        teacher (Tensor): Maps ``(N, C_T, H', W')``.

    Returns:
        Tensor: A scalar, averaged over samples.
    """
    student, teacher = pool_to_smaller(student, teacher)
    student = F.normalize(student.flatten(2), dim=2)
    teacher = F.normalize(teacher.flatten(2), dim=2)
    return (
        _mean_kernel(student, student)
        + _mean_kernel(teacher, teacher)
        - 2 * _mean_kernel(student, teacher)
    )


def _mean_kernel(first, second):
    return (first @ second.transpose(1, 2)).square().mean()


@MODELS.register_module()
class NSTLoss(DistillLoss):
    """`Like What You Like: Knowledge Distill via Neuron Selectivity Transfer
    <https://arxiv.org/abs/1707.01219>`_, see :func:`nst_loss`.

    Channels and sizes may differ; labels are not used. Several levels are summed.
    """

    ranks = (4,)
    adapts = False
    sum_levels = True

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`nst_loss`."""
        return nst_loss(student, teacher)
