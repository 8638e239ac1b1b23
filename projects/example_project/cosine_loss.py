"""A loss from outside the package: one minus the cosine of softened predictions."""

from torch import Tensor
from torch.nn import functional as F

from mmkd.models.losses import DistillLoss
from mmkd.models.losses.checks import positive
from mmkd.registry import MODELS


def cosine_loss(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """Average ``1 - cos(softmax(student / tau), softmax(teacher / tau))``.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        tau (float): Temperature.
    """
    student, teacher = (student / tau).softmax(dim=1), (teacher / tau).softmax(dim=1)
    return (1 - F.cosine_similarity(student, teacher, dim=1)).mean()


@MODELS.register_module()
class CosineLoss(DistillLoss):
    """Direction of the predictions; see :func:`cosine_loss`. Labels are not used.

    Args:
        tau (float): Temperature. Defaults to 4.0.
    """

    ranks = (2,)  # rows (N, C): maps are refused, by name, before training

    def __init__(self, tau: float = 4.0) -> None:
        super().__init__()
        self.tau = positive('CosineLoss', 'tau', tau)

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`cosine_loss`."""
        return cosine_loss(student, teacher, self.tau)
