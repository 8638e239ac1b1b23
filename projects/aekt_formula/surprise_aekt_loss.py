"""Another reading of AEKT: explicit knowledge counts by the gap of confidence."""

from typing import Tuple

from torch import Tensor

from mmkd.models.losses import AEKTLoss
from mmkd.models.losses.dkd_loss import decouple, divergence
from mmkd.models.losses.labelled_loss import target_mask
from mmkd.registry import MODELS


def surprise_rows(
    student: Tensor, teacher: Tensor, target: Tensor, tau: float
) -> Tuple[Tensor, Tensor]:
    r"""Explicit and implicit knowledge of each sample.

    .. math:: \tau^2 \max(p^T_y - p^S_y, 0)\, KL(b^T \| b^S), \quad
        \tau^2 KL(\hat p^T \| \hat p^S)

    Args:
        student (Tensor): Logits ``(N, K)``, after the serialisation layer.
        teacher (Tensor): Logits ``(N, K)``.
        target (Tensor): Labels ``(N,)``.
        tau (float): Temperature.

    Returns:
        tuple[Tensor, Tensor]: ``(N,)`` each.
    """
    is_target = target_mask(target, student.size(1))
    binary_student, rest_student = decouple(student / tau, is_target)
    binary_teacher, rest_teacher = decouple(teacher / tau, is_target)
    surprise = (binary_teacher.exp() - binary_student.exp())[:, 0].clamp(min=0).detach()
    explicit = surprise * divergence(binary_student, binary_teacher)
    return tau**2 * explicit, tau**2 * divergence(rest_student, rest_teacher)


@MODELS.register_module()
class SurpriseAEKTLoss(AEKTLoss):
    """AEKT with :func:`surprise_rows`; arguments as there."""

    def knowledge(
        self, student: Tensor, teacher: Tensor, target: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """See :func:`surprise_rows`."""
        return surprise_rows(student, teacher, target, self.tau)
