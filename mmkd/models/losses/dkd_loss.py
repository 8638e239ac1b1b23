"""Decoupled knowledge distillation."""

from typing import Tuple

import torch
from torch import Tensor

from mmkd.registry import MODELS

from .checks import not_all_zero, not_negative, positive
from .labelled_loss import LabelledLoss, target_mask


def dkd_rows(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    alpha: float,
    beta: float,
    tau: float,
) -> Tensor:
    r"""KD of each sample, split into a target-class and a non-target-class part.

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
        Tensor: ``(N,)``, summed over classes.
    """
    is_target = target_mask(target, student.size(1))
    binary_student, rest_student = decouple(student / tau, is_target)
    binary_teacher, rest_teacher = decouple(teacher / tau, is_target)
    target_part = divergence(binary_student, binary_teacher)
    rest_part = divergence(rest_student, rest_teacher)
    return (alpha * target_part + beta * rest_part) * tau**2


def decouple(logits: Tensor, is_target: Tensor) -> Tuple[Tensor, Tensor]:
    """Split predictions into target against the rest, and the rest among themselves.

    Sums are taken in the log domain: ``log(1 - p_y)`` is never a log of zero.

    Args:
        logits (Tensor): Logits ``(N, K)``, softened.
        is_target (Tensor): Booleans ``(N, K)``, see :func:`target_mask`.

    Returns:
        tuple[Tensor, Tensor]: Log-probabilities ``(N, 2)`` of the target and of all
        the rest; and ``(N, K)`` of the non-target classes, where the target's place
        holds -inf, a probability of zero.
    """
    rest = logits.masked_fill(is_target, float('-inf'))
    log_all = logits.logsumexp(dim=1)
    log_rest = rest.logsumexp(dim=1)
    log_target = logits.masked_fill(~is_target, 0).sum(dim=1)
    binary = torch.stack([log_target - log_all, log_rest - log_all], dim=1)
    return binary, rest - log_rest[:, None]


def divergence(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    """Return ``KL(teacher || student)`` ``(N,)`` of log-probabilities ``(N, K)``."""
    # Where the teacher's probability is zero the term is zero, also at -inf.
    gap = (log_teacher - log_student).masked_fill(log_teacher.isneginf(), 0)
    return (log_teacher.exp() * gap).sum(dim=1)


@MODELS.register_module()
class DKDLoss(LabelledLoss):
    """`Decoupled Knowledge Distillation <https://arxiv.org/abs/2203.08679>`_, the
    mean of :func:`dkd_rows`.

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
        self.alpha = not_negative('DKDLoss', 'alpha', alpha)
        self.beta = not_negative('DKDLoss', 'beta', beta)
        not_all_zero('DKDLoss', alpha=alpha, beta=beta)
        # Of two classes only one is not the target.
        self.least_columns = 2 if alpha else 3
        self.tau = positive('DKDLoss', 'tau', tau)

    def rows(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """See :func:`dkd_rows`; ``target`` is ``(N,)``, or ``(N, K)`` if allowed."""
        target = self.classes(target)
        return dkd_rows(student, teacher, target, self.alpha, self.beta, self.tau)
