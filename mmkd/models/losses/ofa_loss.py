"""One-for-all distillation: the teacher's target class enhanced."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .checks import positive
from .labelled_loss import LabelledLoss, target_mask


def ofa_loss(
    student: Tensor, teacher: Tensor, target: Tensor, eps: float, tau: float
) -> Tensor:
    r"""Cross entropy with the teacher's prediction, its target class enhanced.

    .. math:: -\frac{1}{N} \sum_n \sum_k
        \big[ (p^T_{nk} + 1_{k=y_n})^\epsilon - 1_{k=y_n} \big] \log p^S_{nk}

    where both sides are softened by ``tau``. There is no factor :math:`\tau^2`. With
    ``eps=1`` its gradient is that of KD, but for that factor.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        target (Tensor): Labels ``(N,)``, int64.
        eps (float): Exponent; above 1 the target class counts more, the others less.
        tau (float): Temperature.

    Returns:
        Tensor: A scalar: summed over classes, averaged over samples. It is not zero
        where both sides are equal.
    """
    is_target = target_mask(target, student.size(1)).to(student.dtype)
    enhanced = ((teacher / tau).softmax(dim=1) + is_target) ** eps - is_target
    log_student = F.log_softmax(student / tau, dim=1)
    return -(enhanced * log_student).sum(dim=1).mean()


@MODELS.register_module()
class OFALoss(LabelledLoss):
    """`One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge
    Distillation <https://arxiv.org/abs/2310.19444>`_, see :func:`ofa_loss`.

    The authors compare the logits of the last layer and of a classifier on each of
    the student's stages with the teacher's logits: levels are summed. It needs one
    true class a sample. With soft labels it is an error unless
    ``soft_targets='argmax'`` says that the dominant class is meant, as the authors
    do.

    Args:
        eps (float): Exponent; the authors' are 1 to 1.5. Defaults to 1.0.
        tau (float): Temperature. Defaults to 1.0.
        soft_targets (str): ``'error'`` or ``'argmax'``. Defaults to ``'error'``.
    """

    sum_levels = True

    def __init__(
        self, eps: float = 1.0, tau: float = 1.0, soft_targets: str = 'error'
    ) -> None:
        super().__init__(soft_targets)
        self.eps = positive('OFALoss', 'eps', eps)
        self.tau = positive('OFALoss', 'tau', tau)

    def compare(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """See :func:`ofa_loss`; ``target`` is ``(N,)``, or ``(N, K)`` if allowed."""
        target = self.classes(target)
        return ofa_loss(student, teacher, target, self.eps, self.tau)
