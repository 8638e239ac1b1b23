"""Decoupled knowledge distillation."""

import torch
from torch import Tensor

from mmkd.registry import MODELS

from .checks import positive
from .labelled_loss import LabelledLoss, target_mask


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    alpha: float,
    beta: float,
    tau: float,
) -> Tensor:
    r"""KD split into a target-class and a non-target-class part.

    .. math:: \tau^2 \frac{1}{N} \sum_n \big[
        \alpha KL(b^T_n \| b^S_n) + \beta KL(\hat p^T_n \| \hat p^S_n) \big]

    where :math:`b = (p_y, 1 - p_y)` and :math:`\hat p` is the softmax over all
    classes but the target ``y``. With ``alpha=1`` and :math:`\beta = 1 - p^T_y` it
    is KD.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        target (Tensor): Labels ``(N,)``, int64.
        alpha (float): Weight of the target-class part.
        beta (float): Weight of the non-target-class part.
        tau (float): Temperature.

    Returns:
        Tensor: A scalar: summed over classes, averaged over samples.
    """
    is_target = target_mask(target, student.size(1))
    binary_student, rest_student = _decouple(student / tau, is_target)
    binary_teacher, rest_teacher = _decouple(teacher / tau, is_target)
    target_part = _kl(binary_student, binary_teacher)
    rest_part = _kl(rest_student, rest_teacher)
    return (alpha * target_part + beta * rest_part) * tau**2


def _decouple(logits, is_target):
    """Log-probabilities ``(log p_y, log(1 - p_y))`` and of the non-target classes.

    Sums are taken in the log domain: ``log(1 - p_y)`` is never a log of zero. The
    target's place among the non-targets holds -inf, a probability of zero.
    """
    rest = logits.masked_fill(is_target, float('-inf'))
    log_all = logits.logsumexp(dim=1)
    log_rest = rest.logsumexp(dim=1)
    log_target = logits.masked_fill(~is_target, 0).sum(dim=1)
    binary = torch.stack([log_target - log_all, log_rest - log_all], dim=1)
    return binary, rest - log_rest[:, None]


def _kl(log_student, log_teacher):
    # Where the teacher's probability is zero the term is zero, also at -inf.
    gap = (log_teacher - log_student).masked_fill(log_teacher.isneginf(), 0)
    return (log_teacher.exp() * gap).sum(dim=1).mean()


@MODELS.register_module()
class DKDLoss(LabelledLoss):
    """`Decoupled Knowledge Distillation <https://arxiv.org/abs/2203.08679>`_, see
    :func:`dkd_loss`.

    It needs one true class a sample. With the soft labels of Mixup or CutMix it is
    an error unless ``soft_targets='argmax'`` says that the dominant class is meant.

    Args:
        alpha (float): Weight of the target-class part. Defaults to 1.0.
        beta (float): Weight of the non-target-class part. Defaults to 8.0.
        tau (float): Temperature. Defaults to 4.0.
        soft_targets (str): ``'error'`` or ``'argmax'``. Defaults to ``'error'``.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 8.0,
        tau: float = 4.0,
        soft_targets: str = 'error',
    ) -> None:
        super().__init__(soft_targets)
        self.alpha = alpha
        self.beta = beta
        self.tau = positive('DKDLoss', 'tau', tau)

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """See :func:`dkd_loss`; ``target`` is ``(N,)``, or ``(N, K)`` if allowed."""
        target = self.classes(target)
        return dkd_loss(student, teacher, target, self.alpha, self.beta, self.tau)
