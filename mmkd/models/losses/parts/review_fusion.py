"""Attention-based fusion of a student's levels, for ReviewKD."""

from typing import Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReviewFusion(nn.Module):
    """Fuses a student's map with what the deeper levels hand up.

    A 1x1 convolution with batch norm brings the map to ``mid_channels``. It is added
    to the residual of the deeper levels, each weighted by an attention map: the two
    sigmoids of a 1x1 convolution over their concatenation. The sum is handed up, and a
    3x3 convolution with batch norm brings it to the teacher's channels.

    Args:
        in_channels (int): Of the student's map.
        mid_channels (int): Of the residual.
        out_channels (int): Of the teacher's map.
        deepest (bool): Whether no residual arrives, so that there is nothing to fuse.
    """

    def __init__(
        self, in_channels: int, mid_channels: int, out_channels: int, deepest: bool
    ) -> None:
        super().__init__()
        reduce = nn.Conv2d(in_channels, mid_channels, 1, bias=False)
        expand = nn.Conv2d(mid_channels, out_channels, 3, padding=1, bias=False)
        for conv in (reduce, expand):
            nn.init.kaiming_uniform_(conv.weight, a=1)
        self.reduce = nn.Sequential(reduce, nn.BatchNorm2d(mid_channels))
        self.expand = nn.Sequential(expand, nn.BatchNorm2d(out_channels))
        self.attend = None
        if not deepest:
            attend = nn.Conv2d(2 * mid_channels, 2, 1)
            self.attend = nn.Sequential(attend, nn.Sigmoid())

    def forward(
        self, maps: Tensor, residual: Optional[Tensor], size: Sequence[int]
    ) -> Tuple[Tensor, Tensor]:
        """Fuse one level.

        Args:
            maps (Tensor): The student's ``(N, C, H, W)``.
            residual (Tensor | None): What the next deeper level handed up, of any
                size; None at the deepest.
            size (Sequence[int]): Height and width of the teacher's map.

        Returns:
            tuple[Tensor, Tensor]: What to compare with the teacher's map, and what to
            hand up; both of ``size``.
        """
        maps = self.reduce(maps)
        if self.attend is not None:
            residual = resize(residual, maps.shape[2:])
            both = torch.cat([maps, residual], dim=1)
            for_maps, for_residual = self.attend(both).chunk(2, dim=1)
            maps = for_maps * maps + for_residual * residual
        maps = resize(maps, size)
        return self.expand(maps), maps


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps ``(N, C, H, W)`` of the height and width ``size``, nearest."""
    return maps if maps.shape[2:] == size else F.interpolate(maps, size)
