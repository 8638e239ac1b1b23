"""Mean squared error of features (FitNet's hint loss)."""

import torch.nn.functional as F
from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss


@MODELS.register_module()
class FeatureMSELoss(DistillLoss):
    """Mean squared error of the student's and the teacher's features.

    With an inferred adapter on the student's side it is the hint loss of `FitNets
    <https://arxiv.org/abs/1412.6550>`_. Several levels are averaged. Labels are not
    used.
    """

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """Average the squared difference over all elements of two equal shapes."""
        return F.mse_loss(student, teacher)
