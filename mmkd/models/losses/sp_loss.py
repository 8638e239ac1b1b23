"""Similarity-preserving distillation."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss


def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the samples' similarities.

    .. math:: \frac{1}{N^2} \| \tilde G^S - \tilde G^T \|_F^2, \quad
        G = F F^\top, \quad \tilde G_{i} = G_{i} / \|G_{i}\|_2

    where ``F`` has one row a sample: its features, flattened. Each row of ``G`` is
    brought to unit length, so the value falls about as one over the batch size.

    Args:
        student (Tensor): Features ``(N, ...)``.
        teacher (Tensor): Features ``(N, ...)``, of any other shape.

    Returns:
        Tensor: A scalar; zero where ``N`` is 1.
    """
    return F.mse_loss(_similarities(student), _similarities(teacher))


def _similarities(features):
    rows = features.flatten(1)
    return F.normalize(rows @ rows.t())


@MODELS.register_module()
class SPLoss(DistillLoss):
    """`Similarity-Preserving Knowledge Distillation
    <https://arxiv.org/abs/1907.09682>`_, see :func:`sp_loss`.

    Shapes may differ in all but the batch; labels are not used. Samples are compared
    within the batch of one process.
    """

    least_columns = 2
    adapts = False
    over_batch = compares_pairs = True

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`sp_loss`."""
        return sp_loss(student, teacher)
