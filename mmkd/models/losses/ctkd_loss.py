"""Knowledge distillation with a learned temperature."""

import math

import torch
from torch import Tensor, nn

from mmkd.registry import MODELS

from ..schedule import Progress
from .base import DistillLoss
from .checks import positive
from .kd_loss import kd_loss
from .parts.reverse_gradient import ReverseGradient


def ctkd_loss(
    student: Tensor,
    teacher: Tensor,
    theta: Tensor,
    strength: float,
    tau_min: float = 1.0,
    tau_range: float = 20.0,
) -> Tensor:
    r"""KD whose temperature is learned against the student.

    .. math:: \tau = \tau_{min} + \tau_{range} \cdot \mathrm{sigmoid}(\theta)

    The student descends :func:`kd_loss` at this temperature, theta climbs it: its
    gradient is :math:`-\lambda\, \partial L / \partial \theta`.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        theta (Tensor): The learned scalar, shape ``()``.
        strength (float): :math:`\lambda`, of the reversed gradient.
        tau_min (float): Lower end of the temperature. Defaults to 1.0.
        tau_range (float): Width of its range. Defaults to 20.0.

    Returns:
        Tensor: A scalar: summed over classes, averaged over samples.
    """
    theta = ReverseGradient.apply(theta, strength)
    return kd_loss(student, teacher, tau_min + tau_range * theta.sigmoid())


@MODELS.register_module()
class CTKDLoss(DistillLoss):
    r"""`Curriculum Temperature for Knowledge Distillation
    <https://arxiv.org/abs/2211.16231>`_ with the global temperature, see
    :func:`ctkd_loss`.

    The parameter ``theta`` starts at 1 and is trained with the student. Its reversed
    gradient grows over the first epochs, :math:`\lambda = (1 - \cos(\pi\,
    \min(e / E, 1))) / 2` in epoch ``e`` counted from 1; a loop by iterations stays in
    its first, and so does any loop without MMEngine's Runner that does not tell the
    epoch, with ``MessageHub.get_current_instance().update_info('epoch', epoch)``. The
    authors' instance-wise temperature is not offered. Labels are not used, so Mixup and
    CutMix are fine.

    Args:
        tau_min (float): Lower end of the temperature. Defaults to 1.0.
        tau_range (float): Width of its range. Defaults to 20.0.
        warmup_epochs (int): ``E``, epochs until the full reversed gradient. Defaults
            to 10, as on CIFAR-100; 5 on ImageNet.
    """

    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(
        self,
        tau_min: float = 1.0,
        tau_range: float = 20.0,
        warmup_epochs: int = 10,
    ) -> None:
        super().__init__()
        self.tau_min = positive('CTKDLoss', 'tau_min', tau_min)
        self.tau_range = positive('CTKDLoss', 'tau_range', tau_range)
        self.warmup_epochs = positive('CTKDLoss', 'warmup_epochs', warmup_epochs)
        self.theta = nn.Parameter(torch.tensor(1.0))

    @property
    def strength(self) -> float:
        """Factor of the reversed gradient in the current epoch."""
        done = min((Progress.current().epoch + 1) / self.warmup_epochs, 1.0)
        return (1 - math.cos(math.pi * done)) / 2

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`ctkd_loss`."""
        return ctkd_loss(
            student, teacher, self.theta, self.strength, self.tau_min, self.tau_range
        )
