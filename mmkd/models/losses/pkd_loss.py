"""PKD: features that correlate."""

import torch
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss

EPS = 1e-6  # the authors', beside the standard deviation


def pkd_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Half the mean squared difference of maps, each channel standardised.

    .. math:: \frac{1}{2 |F|} \| z(F^S) - z(F^T) \|_2^2, \quad
        z(F) = \frac{F - \mu_c}{\sigma_c + 10^{-6}}

    with mean and (unbiased) standard deviation of a channel over all images and pixels,
    ``n`` of them. But for the constant it is :math:`(1 - \rho) (n - 1) / n`, where
    :math:`\rho` is Pearson's correlation, averaged over channels: from 0 to 2, and
    unchanged by scale and shift of any channel of either side. Where ``n`` is 1, as on
    the coarsest level of a single small image, nothing correlates: it is a zero that is
    part of the graph (mmkd; the authors' is not a number).

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps of the same shape.

    Returns:
        Tensor: A scalar.
    """
    if student.numel() == student.size(1):
        return student.sum() * 0.0
    return (_standardised(student) - _standardised(teacher)).square().mean() / 2


def _standardised(maps):
    std, mean = torch.std_mean(maps, dim=(0, 2, 3), keepdim=True)
    return (maps - mean) / (std + EPS)


@MODELS.register_module()
class PKDLoss(DistillLoss):
    """`PKD: General Distillation Framework for Object Detectors via Pearson
    Correlation Coefficient <https://arxiv.org/abs/2207.02039>`_, see :func:`pkd_loss`.

    Of a neck's maps; the authors take the first four levels of an FPN, and weigh them
    6 (two-stage students) or 10 (one-stage). Nothing is learned where channels agree.
    Where sizes differ, as between necks of other strides, the authors resize the
    student's maps: ``on=dict(student=..., teacher=..., resize='student')``. Levels are
    summed. Labels are not used. In a distributed run each process has its own
    statistics, as the authors' have.
    """

    ranks = (4,)
    sum_levels = True

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`pkd_loss`."""
        return pkd_loss(student, teacher)
