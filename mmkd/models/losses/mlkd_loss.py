"""Multi-level logit distillation: samples, classes and batches."""

from typing import Sequence

from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import one_of, positive
from .kd_loss import kd_loss


def class_correlation_loss(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    r"""Difference of how classes go together over the batch.

    .. math:: \frac{1}{K} \| P_T^\top P_T - P_S^\top P_S \|_F^2

    with the softened predictions ``P`` ``(N, K)`` of logits ``(N, K)``. It is a sum
    over samples, squared: four times as much for a batch given twice.
    """
    student, teacher = _softened(student, tau), _softened(teacher, tau)
    gap = teacher.T @ teacher - student.T @ student
    return gap.square().sum() / student.size(1)


def batch_correlation_loss(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    r"""Difference of how samples resemble each other.

    .. math:: \frac{1}{N} \| P_T P_T^\top - P_S P_S^\top \|_F^2

    with the softened predictions ``P`` ``(N, K)`` of logits ``(N, K)``. It is twice
    as much for a batch given twice.
    """
    student, teacher = _softened(student, tau), _softened(teacher, tau)
    gap = teacher @ teacher.T - student @ student.T
    return gap.square().sum() / student.size(0)


def _softened(logits, tau):
    return (logits / tau).softmax(dim=1)


def mlkd_loss(student: Tensor, teacher: Tensor, taus: Sequence[float]) -> Tensor:
    r"""Sum over temperatures of KD and of both correlations.

    .. math:: \sum_\tau L_{KD}(\tau) + L_{class}(\tau) + L_{batch}(\tau)

    see :func:`kd_loss`, :func:`class_correlation_loss` and
    :func:`batch_correlation_loss`.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        taus (Sequence[float]): Temperatures.

    Returns:
        Tensor: A scalar.
    """
    parts = (kd_loss, class_correlation_loss, batch_correlation_loss)
    return sum(part(student, teacher, tau) for tau in taus for part in parts)


@MODELS.register_module()
class MLKDLoss(DistillLoss):
    """`Multi-Level Logit Distillation
    <https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html>`_,
    see :func:`mlkd_loss`.

    With ``views=2`` a batch holds a weak view of N images and then a strong view of
    the same N, as :class:`~mmkd.models.WeakStrongPreprocessor` makes it. The loss is
    then that of the released code: ``weak_weight * mlkd_loss(weak)`` plus, summed
    over the temperatures, ``kd_loss(strong)``; the strong view has no correlations.

    Two things of the released code are left out. Its masks of unconfident samples
    and classes multiply values that are averaged already, so that they choose
    nothing: they are the factor 1/2 of ``weak_weight``. And at the temperatures 2
    and 6 its strong term reads the weak view.

    Labels are not used, so Mixup and CutMix are fine.

    Args:
        taus (Sequence[float]): Temperatures. Defaults to (4.0, 3.0, 5.0, 2.0, 6.0);
            on ImageNet the first is 1.0.
        views (int): Views of each image in a batch, 1 or 2. Defaults to 1.
        weak_weight (float): Weight of the weak view where there are two. Defaults to
            0.5.
    """

    over_batch = compares_pairs = True
    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(
        self,
        taus: Sequence[float] = (4.0, 3.0, 5.0, 2.0, 6.0),
        views: int = 1,
        weak_weight: float = 0.5,
    ) -> None:
        super().__init__()
        if not isinstance(taus, (list, tuple)) or not taus:
            raise ConfigError(
                f'MLKDLoss: taus must be a list of numbers above 0, got {taus!r}.'
            )
        self.taus = tuple(positive('MLKDLoss', 'each of taus', tau) for tau in taus)
        self.views = one_of('MLKDLoss', 'views', views, (1, 2))
        self.weak_weight = positive('MLKDLoss', 'weak_weight', weak_weight)

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`mlkd_loss`; two views are ``(2N, K)``, the weak ones first."""
        if self.views == 1:
            return mlkd_loss(student, teacher, self.taus)
        if len(student) % 2:
            raise ConfigError(
                f'MLKDLoss: views=2 needs a weak and a strong view of each image, got '
                f'{len(student)} samples; use WeakStrongPreprocessor or views=1.'
            )
        weak, strong = zip(student.chunk(2), teacher.chunk(2))
        strong_part = sum(kd_loss(*strong, tau) for tau in self.taus)
        return self.weak_weight * mlkd_loss(*weak, self.taus) + strong_part
