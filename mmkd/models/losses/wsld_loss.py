"""Distillation with weighted soft labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .checks import positive
from .labelled_loss import LabelledLoss


def wsld_loss(student: Tensor, teacher: Tensor, target: Tensor, tau: float) -> Tensor:
    r"""KD of each sample, weighted by how much better the teacher knows its label.

    .. math:: \tau^2 \frac{1}{N} \sum_n \left[ 1 - \exp\left(
        -\frac{CE(z^S_n, y_n)}{CE(z^T_n, y_n)} \right) \right]
        KL(\mathrm{softmax}(z^T_n/\tau) \| \mathrm{softmax}(z^S_n/\tau))

    The cross-entropies are at temperature 1, and the weight carries no gradient. The
    authors add 1e-7 to the teacher's cross-entropy, and so does this: where that is
    zero the weight is 1, unless the student's is zero as well, then it is 0.

    The paper writes the cross-entropy of the softened predictions where this takes
    their divergence (mmkd). The gradient is the same; the value differs by the
    weighted entropy of the teacher and is zero for equal logits.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        target (Tensor): Labels ``(N,)``, int64.
        tau (float): Temperature.

    Returns:
        Tensor: A scalar: summed over classes, averaged over samples.
    """
    with torch.no_grad():
        student_error = F.cross_entropy(student, target, reduction='none')
        teacher_error = F.cross_entropy(teacher, target, reduction='none')
        weight = -torch.expm1(-student_error / (teacher_error + 1e-7))

    log_student = F.log_softmax(student / tau, dim=1)
    log_teacher = F.log_softmax(teacher / tau, dim=1)
    divergence = F.kl_div(log_student, log_teacher, reduction='none', log_target=True)
    return (weight * divergence.sum(dim=1)).mean() * tau**2


@MODELS.register_module()
class WSLDLoss(LabelledLoss):
    """`Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance Tradeoff
    Perspective <https://arxiv.org/abs/2102.00650>`_, see :func:`wsld_loss`.

    The authors add it with weight 2.5 to the cross-entropy with the labels (ImageNet).
    It needs one true class a sample. With the soft labels of Mixup or CutMix it is an
    error unless ``soft_targets='argmax'`` says that the dominant class is meant.

    Args:
        tau (float): Temperature. Defaults to 2.0, the authors' on ImageNet.
        soft_targets (str): ``'error'`` or ``'argmax'``. Defaults to ``'error'``.
    """

    def __init__(self, tau: float = 2.0, soft_targets: str = 'error') -> None:
        super().__init__(soft_targets)
        self.tau = positive('WSLDLoss', 'tau', tau)

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """See :func:`wsld_loss`; ``target`` is ``(N,)``, or ``(N, K)`` if allowed."""
        target = self.classes(target)
        return wsld_loss(student, teacher, target, self.tau)
