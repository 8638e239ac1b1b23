"""Relational knowledge distillation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import not_all_zero, not_negative


def rkd_loss(
    student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float
) -> Tensor:
    r"""Huber losses of the samples' distances and of the angles between them.

    .. math:: \lambda_D \frac{1}{N^2} \sum_{i,j} l(d^S_{ij}, d^T_{ij})
        + \lambda_A \frac{1}{N^3} \sum_{i,j,k} l(
        \langle e^S_{ij}, e^S_{ik} \rangle, \langle e^T_{ij}, e^T_{ik} \rangle)

    where ``l`` is the Huber loss with its bend at 1, :math:`d_{ij}` is
    :math:`\|x_i - x_j\|` over the mean of those that are not zero, and
    :math:`e_{ij} = (x_j - x_i) / \|x_j - x_i\|`. As in the authors' code the means are
    over all pairs and triples, also of a sample with itself. Two equal samples have
    neither distance nor direction, and no gradient of one (mmkd; the authors count a
    distance of 1e-6).

    The differences are a tensor ``(N, N, C)`` and the angles one of ``(N, N, N)``: in
    float32 32 MiB and 1 MiB for 64 samples of 2048 channels, and 512 MiB each for 512
    samples of 512 channels.

    Args:
        student (Tensor): Features ``(N, C)``.
        teacher (Tensor): Features ``(N, C')``.
        distance_weight (float): :math:`\lambda_D`.
        angle_weight (float): :math:`\lambda_A`.

    Returns:
        Tensor: A scalar; zero where ``N`` is 1.
    """
    # Of the student and of the teacher.
    distances, angles = zip(_relations(student), _relations(teacher))
    distance_part = F.smooth_l1_loss(*distances)
    angle_part = F.smooth_l1_loss(*angles)
    return distance_weight * distance_part + angle_weight * angle_part


def _relations(features):
    # Not from the products x_i x_j: their differences lose close samples in float32.
    gaps = features[None] - features[:, None]
    distances = torch.linalg.vector_norm(gaps, dim=2)
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    directions = gaps / _or_infinity(distances)[..., None]
    return distances / _or_infinity(mean), directions @ directions.transpose(1, 2)


def _or_infinity(divisor):
    # A zero over it is a zero without gradient.
    return divisor.masked_fill(divisor == 0, float('inf'))


@MODELS.register_module()
class RKDLoss(DistillLoss):
    """`Relational Knowledge Distillation <https://arxiv.org/abs/1904.05068>`_, see
    :func:`rkd_loss`.

    Channels may differ; labels are not used. Samples are compared within the batch of
    one process; the cost grows with its cube.

    Args:
        distance_weight (float): Weight of the distances. Defaults to 25.0.
        angle_weight (float): Weight of the angles. Defaults to 50.0.
    """

    ranks = (2,)
    adapts = False
    over_batch = compares_pairs = True

    def __init__(
        self, distance_weight: float = 25.0, angle_weight: float = 50.0
    ) -> None:
        super().__init__()
        self.distance_weight = not_negative(
            'RKDLoss', 'distance_weight', distance_weight
        )
        self.angle_weight = not_negative('RKDLoss', 'angle_weight', angle_weight)
        not_all_zero(
            'RKDLoss', distance_weight=distance_weight, angle_weight=angle_weight
        )

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`rkd_loss`."""
        return rkd_loss(student, teacher, self.distance_weight, self.angle_weight)
