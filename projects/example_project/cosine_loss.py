"""A loss from outside the package: one minus the cosine of two vectors."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.models.losses import DistillLoss
from mmkd.registry import MODELS


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Average ``1 - cos(student, teacher)`` over the rows of ``(N, C)`` tensors."""
    return (1 - F.cosine_similarity(student, teacher, dim=1)).mean()


@MODELS.register_module()
class CosineLoss(DistillLoss):
    """Direction of the logits; see :func:`cosine_loss`. Labels are not used."""

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`cosine_loss`."""
        return cosine_loss(student, teacher)
