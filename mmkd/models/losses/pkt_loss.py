"""Probabilistic knowledge transfer."""

import torch
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import positive


def pkt_loss(student: Tensor, teacher: Tensor, eps: float = 1e-7) -> Tensor:
    r"""Divergence of the samples' probabilities to be neighbours.

    .. math:: \frac{1}{N^2} \sum_{i,j} p^T_{ij}
        \log \frac{p^T_{ij} + \epsilon}{p^S_{ij} + \epsilon}, \quad
        p_{ij} = \frac{K_{ij}}{\sum_k K_{ik}}, \quad
        K_{ij} = \frac{1}{2} \Big( 1 + \frac{x_i^\top x_j}{\|x_i\| \|x_j\|} \Big)

    with :math:`\epsilon` added to each norm too. As in the authors' code, the diagonal
    is left in and the mean is over all pairs, so the value falls about as one over the
    batch size.

    Args:
        student (Tensor): Features ``(N, C)``.
        teacher (Tensor): Features ``(N, C')``.
        eps (float): See above. Defaults to 1e-7.

    Returns:
        Tensor: A scalar; zero where ``N`` is 1.
    """
    student, teacher = _neighbours(student, eps), _neighbours(teacher, eps)
    return (teacher * ((teacher + eps).log() - (student + eps).log())).mean()


def _neighbours(features, eps):
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    rows = features / (norms + eps)
    # A cosine may be rounded to below -1, and no probability may be negative.
    kernel = (rows @ rows.t() + 1).clamp(min=0) / 2
    return kernel / kernel.sum(dim=1, keepdim=True)


@MODELS.register_module()
class PKTLoss(DistillLoss):
    """`Learning Deep Representations with Probabilistic Knowledge Transfer
    <https://arxiv.org/abs/1803.10837>`_, see :func:`pkt_loss`.

    Channels may differ; labels are not used. Samples are compared within the batch of
    one process.

    Args:
        eps (float): Added to norms and probabilities. Defaults to 1e-7.
    """

    ranks = (2,)
    least_columns = 2
    adapts = False
    over_batch = compares_pairs = True

    def __init__(self, eps: float = 1e-7) -> None:
        super().__init__()
        self.eps = positive('PKTLoss', 'eps', eps)

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`pkt_loss`."""
        return pkt_loss(student, teacher, self.eps)
