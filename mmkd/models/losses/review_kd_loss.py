"""ReviewKD: the teacher's levels from fused levels of the student."""

from typing import List, Optional, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import whole
from .levels import LossInputs
from .numerics import promoted
from .parts.review_fusion import ReviewFusion

#: Height and width of the grids that maps are pooled to.
GRIDS = (4, 2, 1)


def hierarchical_context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared errors of maps and of what they are on coarser and coarser grids.

    .. math:: \Big( \sum_{l=0}^{L} 2^{-l} \Big)^{-1} \sum_{l=0}^{L} 2^{-l} \,
        \mathrm{MSE}(P_l(F^S), P_l(F^T))

    where :math:`P_0` leaves the map as it is, and the others average-pool it to grids
    of 4x4, 2x2 and 1x1. As in the authors' code only grids lower than the map count: a
    map of height 4 is compared as it is, on 2x2 and on 1x1; one of 1x1 only as it is.

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps of the same shape.

    Returns:
        Tensor: A scalar.
    """
    gap = student - teacher
    # Pooling is linear: that of the difference is the difference of both poolings.
    sizes = [size for size in GRIDS if size < gap.size(2)]
    gaps = [gap, *(F.adaptive_avg_pool2d(gap, size) for size in sizes)]
    weights = [0.5**level for level in range(len(gaps))]
    errors = [weight * each.square().mean() for weight, each in zip(weights, gaps)]
    return sum(errors) / sum(weights)


@MODELS.register_module()
class ReviewKDLoss(DistillLoss):
    """`Distilling Knowledge via Knowledge Review
    <https://arxiv.org/abs/2104.09044>`_: :func:`hierarchical_context_loss` of the
    teacher's levels and the student's, where each of the student's is fused with those
    below it (:class:`.review_fusion.ReviewFusion`) and trained to give the teacher's.

    Levels are listed from shallow to deep and summed. The authors take the maps of all
    stages (of CIFAR teachers those before activation) and, of classifiers, the pooled
    feature ``(N, C)`` as a last level, which counts as a map of one pixel; of detectors
    the maps of the neck. Channels and sizes may differ between both sides: the
    student's are resized to the teacher's, nearest neighbour. Labels are not used.

    With a pooled level a batch needs two images: of one, batch norm has nothing to
    normalise.

    Args:
        mid_channels (int): Channels in which levels are fused, at most: no more than
            the deepest level of the student has. Defaults to 512; the authors take 256
            for detectors and for MobileNet on ImageNet.
    """

    ranks = (4, 2)
    adapts = False
    sum_levels = learns_by_level = True

    def __init__(self, mid_channels: int = 512) -> None:
        super().__init__()
        self.mid_channels = whole('ReviewKDLoss', 'mid_channels', mid_channels)
        self.fusions = nn.ModuleList()

    def fit(self, inputs: LossInputs) -> None:
        """Make the fusions.

        Raises:
            ConfigError: There is something else than maps and rows, or the sides have
                other samples.
        """
        super().fit(inputs)
        mid_channels = min(self.mid_channels, inputs.student[-1][1])
        deepest = len(inputs.student) - 1
        sides = inputs.student, inputs.teacher
        channels = [[shape[1] for shape in side] for side in sides]
        self.fusions = nn.ModuleList(
            ReviewFusion(of_student, mid_channels, of_teacher, level == deepest)
            for level, (of_student, of_teacher) in enumerate(zip(*channels))
        )

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
    ) -> Tensor:
        """Fuse the student's levels and compare."""
        # Promoted already here: without autocast the fusions take no half precision.
        student = [promoted(_as_maps(level)) for level in student]
        teacher = [_as_maps(level) for level in teacher]
        fused = self.fuse(student, teacher)
        return super().compare_levels(fused, teacher, targets)

    def fuse(self, student: List[Tensor], teacher: List[Tensor]) -> List[Tensor]:
        """Return what the student makes of the teacher's maps.

        Args:
            student (list[Tensor]): Maps ``(N, C, H, W)``, from shallow to deep.
            teacher (list[Tensor]): Maps ``(N, C', H', W')``, only for their sizes.

        Returns:
            list[Tensor]: One of each teacher's shape.
        """
        residual = None
        fused = []
        levels = reversed(list(zip(self.fusions, student, teacher)))
        for fusion, maps, wanted in levels:
            made, residual = fusion(maps, residual, wanted.shape[2:])
            fused.insert(0, made)
        return fused

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`hierarchical_context_loss`."""
        return hierarchical_context_loss(student, teacher)


def _as_maps(features):
    return features if features.dim() == 4 else features[:, :, None, None]
