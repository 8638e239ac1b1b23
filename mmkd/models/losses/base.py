"""What every distillation loss shares: numerics, empty batches, levels."""

from typing import Optional, Sequence

import torch
from torch import Tensor, nn


class DistillLoss(nn.Module):
    """Compares what the student says with what the teacher says.

    A subclass implements :meth:`compare` on two aligned tensors. This class sees to
    the rest: autocast is off and half precision is promoted to float32 (float64 is
    kept); several levels (an FPN's maps) are averaged; an empty selection, say no
    foreground RoI, gives a zero that is part of the graph.
    """

    #: Whether :meth:`compare` reads the hard labels. The Distiller refuses such a
    #: loss where no hard label exists (feature maps, Mixup, CutMix) before training.
    needs_target = False
    #: Whether it compares samples with each other, so that one alone says nothing.
    over_batch = False

    def forward(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
    ) -> Tensor:
        """Compute the loss, unweighted.

        Args:
            student (Sequence[Tensor]): The student's tensors, one a level.
            teacher (Sequence[Tensor]): Aligned with ``student``; no gradient.
            targets (Sequence[Tensor | None]): Labels ``(N,)`` or soft labels
                ``(N, K)`` of each level, where there are any.

        Returns:
            Tensor: A scalar, averaged over the levels.
        """
        levels = list(map(self._compare_one, student, teacher, targets))
        return sum(levels) / len(levels)

    def _compare_one(self, student, teacher, target):
        if student.numel() == 0:
            return student.sum() * 0.0
        with torch.autocast(student.device.type, enabled=False):
            return self.compare(_full(student), _full(teacher), target)

    def compare(self, student: Tensor, teacher: Tensor, target) -> Tensor:
        """Return the scalar loss of two tensors of at least float32."""
        raise NotImplementedError


def _full(tensor: Tensor) -> Tensor:
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if half else tensor
