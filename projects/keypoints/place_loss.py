"""A loss for maps of places: a cross entropy with the teacher's map, sharpened."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.models.losses import DistillLoss
from mmkd.models.losses.checks import positive
from mmkd.registry import MODELS


def place_rows(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    r"""Compute :math:`-\sum_c \mathrm{softmax}(z^T / \tau)_c \log p^S_c` of each row.

    Args:
        student (Tensor): Logits ``(N, C)`` of ``C`` places.
        teacher (Tensor): Logits ``(N, C)``.
        tau (float): Temperature of the teacher; below 1 its map gets sharper.

    Returns:
        Tensor: ``(N,)``.
    """
    wanted = (teacher / tau).softmax(dim=1)
    return -(wanted * F.log_softmax(student, dim=1)).sum(dim=1)


@MODELS.register_module()
class PlaceLoss(DistillLoss):
    """The mean of :func:`place_rows`, weighted where rows have weights.

    Args:
        tau (float): Temperature of the teacher. Defaults to 0.5.
    """

    ranks = (2,)

    def __init__(self, tau: float = 0.5) -> None:
        super().__init__()
        self.tau = positive('PlaceLoss', 'tau', tau)

    def rows(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`place_rows`."""
        return place_rows(student, teacher, self.tau)
