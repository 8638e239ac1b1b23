"""Knowledge distillation of Hinton et al."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import positive


def kd_rows(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    r"""Kullback-Leibler divergence of each sample's softened prediction.

    .. math:: \tau^2\,
        KL(\mathrm{softmax}(z^T_n/\tau) \| \mathrm{softmax}(z^S_n/\tau))

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        tau (float): Temperature.

    Returns:
        Tensor: ``(N,)``, summed over classes.
    """
    log_student = F.log_softmax(student / tau, dim=1)
    log_teacher = F.log_softmax(teacher / tau, dim=1)
    divergence = F.kl_div(log_student, log_teacher, reduction='none', log_target=True)
    return divergence.sum(dim=1) * tau**2


def kd_loss(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """Return the mean of :func:`kd_rows` over the samples, a scalar."""
    return kd_rows(student, teacher, tau).mean()


@MODELS.register_module()
class KDLoss(DistillLoss):
    """`Distilling the Knowledge in a Neural Network
    <https://arxiv.org/abs/1503.02531>`_, the mean of :func:`kd_rows`.

    Labels are not used, so Mixup and CutMix are fine.

    Args:
        tau (float): Temperature. Defaults to 4.0, as usual on CIFAR-100; ImageNet
            recipes use 1.0.
    """

    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(self, tau: float = 4.0) -> None:
        super().__init__()
        self.tau = positive('KDLoss', 'tau', tau)

    def rows(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`kd_rows`."""
        return kd_rows(student, teacher, self.tau)
