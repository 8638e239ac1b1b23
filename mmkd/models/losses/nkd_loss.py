"""Normalised knowledge distillation."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .checks import not_negative, positive
from .labelled_loss import LabelledLoss, target_mask


def nkd_rows(
    student: Tensor, teacher: Tensor, target: Tensor, gamma: float, tau: float
) -> Tensor:
    r"""Cross-entropies of the target class and of the normalised non-target classes.

    .. math:: -\Big[ p^T_{n,y} \log p^S_{n,y} +
        \gamma \tau^2 \sum_{i \ne y} \hat p^T_{n,i} \log \hat p^S_{n,i} \Big]

    where :math:`p` is the softmax over all classes at temperature 1 and
    :math:`\hat p` the softmax at ``tau`` over all classes but the target ``y``. Both
    parts are cross-entropies, so the loss of equal logits is not zero: there the
    non-target part has no gradient, and the target part still raises the student's
    target probability.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        target (Tensor): Labels ``(N,)``, int64.
        gamma (float): Weight of the non-target part.
        tau (float): Temperature of the non-target part.

    Returns:
        Tensor: ``(N,)``, summed over classes.
    """
    label = target[:, None]
    confidence = teacher.softmax(dim=1).gather(1, label)
    target_part = -(confidence * F.log_softmax(student, dim=1).gather(1, label))[:, 0]

    is_target = target_mask(target, student.size(1))
    soft_teacher = (teacher / tau).masked_fill(is_target, float('-inf')).softmax(dim=1)
    rest = (student / tau).masked_fill(is_target, float('-inf'))
    # The target's log-probability is -inf here, and the teacher's probability 0.
    log_student = F.log_softmax(rest, dim=1).masked_fill(is_target, 0)
    rest_part = -(soft_teacher * log_student).sum(dim=1)
    return target_part + gamma * tau**2 * rest_part


@MODELS.register_module()
class NKDLoss(LabelledLoss):
    """`From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach
    with Normalized Loss and Customized Soft Labels
    <https://arxiv.org/abs/2303.13005>`_, the mean of :func:`nkd_rows`.

    It is added to the cross-entropy with the labels, both with weight 1. It needs one
    true class a sample. With the soft labels of Mixup or CutMix it is an error unless
    ``soft_targets='argmax'``, which the authors do, says that the dominant class is
    meant.

    Args:
        gamma (float): Weight of the non-target part. Defaults to 1.5, the authors' on
            ImageNet.
        tau (float): Temperature of the non-target part. Defaults to 1.0, the authors'
            on ImageNet.
        soft_targets (str): ``'error'`` or ``'argmax'``. Defaults to ``'error'``.
    """

    def __init__(
        self, gamma: float = 1.5, tau: float = 1.0, soft_targets: str = 'error'
    ) -> None:
        super().__init__(soft_targets)
        self.gamma = not_negative('NKDLoss', 'gamma', gamma)
        self.tau = positive('NKDLoss', 'tau', tau)

    def rows(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """See :func:`nkd_rows`; ``target`` is ``(N,)``, or ``(N, K)`` if allowed."""
        target = self.classes(target)
        return nkd_rows(student, teacher, target, self.gamma, self.tau)
