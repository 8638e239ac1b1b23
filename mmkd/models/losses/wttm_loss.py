"""Weighted matching of the transformed teacher."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import positive


def wttm_loss(student: Tensor, teacher: Tensor, gamma: float) -> Tensor:
    r"""Divergence from the softened teacher, weighted by how smooth the teacher is.

    .. math:: \frac{1}{N} \sum_n U_n KL(q_n \| \mathrm{softmax}(z^S_n)), \quad
        q_n = (p^T_n)^\gamma / U_n, \quad U_n = \sum_k (p^T_{n,k})^\gamma

    with :math:`p^T = \mathrm{softmax}(z^T)`. So ``q`` is the teacher at temperature
    :math:`1/\gamma`, while the student has no temperature: the loss is zero where
    :math:`z^S = \gamma z^T`, not for equal logits. For ``gamma`` below 1 the weight
    ``U`` lies between 1, for a certain teacher, and :math:`K^{1-\gamma}`, for a
    uniform one. With ``gamma=1`` it is KD at temperature 1.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        gamma (float): Exponent of the teacher's probabilities.

    Returns:
        Tensor: A scalar: summed over classes, averaged over samples.
    """
    log_power = gamma * F.log_softmax(teacher, dim=1)
    log_weight = log_power.logsumexp(dim=1, keepdim=True)
    divergence = F.kl_div(
        F.log_softmax(student, dim=1),
        log_power - log_weight,
        reduction='none',
        log_target=True,
    )
    return (log_weight.exp() * divergence).sum(dim=1).mean()


@MODELS.register_module()
class WTTMLoss(DistillLoss):
    """`Knowledge Distillation Based on Transformed Teacher Matching
    <https://arxiv.org/abs/2402.11148>`_, see :func:`wttm_loss`.

    Labels are not used, so Mixup and CutMix are fine. The authors add it to the
    cross-entropy with the labels, with a weight tuned for each pair of networks.

    Args:
        gamma (float): Exponent of the teacher's probabilities, one over a temperature.
            Defaults to 0.1, the authors' for most pairs on CIFAR-100; they take 0.8
            for ResNet-34 -> ResNet-18 on ImageNet.
    """

    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(self, gamma: float = 0.1) -> None:
        super().__init__()
        self.gamma = positive('WTTMLoss', 'gamma', gamma)

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`wttm_loss`."""
        return wttm_loss(student, teacher, self.gamma)
