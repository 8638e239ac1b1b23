"""FitNets: hints from the teacher's features."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss


def fitnet_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared error of features.

    .. math:: \frac{1}{|F|} \| F^S - F^T \|_2^2

    where :math:`|F|` counts all elements: samples, channels and pixels.

    Args:
        student (Tensor): Features, say a map ``(N, C, H, W)``.
        teacher (Tensor): Features of the same shape.

    Returns:
        Tensor: A scalar.
    """
    return F.mse_loss(student, teacher)


@MODELS.register_module()
class FitNetLoss(DistillLoss):
    """`FitNets: Hints for Thin Deep Nets <https://arxiv.org/abs/1412.6550>`_, see
    :func:`fitnet_loss`.

    The student's features pass an adapter (the paper's regressor): by default one is
    inferred where channels differ; the re-implementations of the field have
    ``adapter=dict(type='ConvNormAdapter', relu=True)``. Several levels are averaged
    (mmkd; the paper has one). The paper trains on hints first and on labels after;
    here both are trained at once, as is usual now. Labels are not used.
    """

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`fitnet_loss`."""
        return fitnet_loss(student, teacher)
