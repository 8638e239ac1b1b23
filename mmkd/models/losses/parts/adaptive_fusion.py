"""Adaptive feature fusion of a student's stages, for UniKD."""

from typing import Sequence

import torch
from torch import Tensor, nn

from .review_fusion import resize


class AdaptiveFusion(nn.Module):
    r"""Fuses maps of several depths into one of the first stage.

    Each map is brought to ``mid_channels`` by a 1x1 convolution with ReLU. From the
    deepest up, what comes from below is resized to the next stage's map, nearest
    neighbour, and both are added, each weighted by a gate a pixel:

    .. math:: F_l = g_1 \odot X_l + g_2 \odot \mathrm{up}(F_{l+1}), \quad
        (g_1, g_2) = \mathrm{sigmoid}(\mathrm{conv}_{1 \times 1}(
        [X_l, \mathrm{up}(F_{l+1})]))

    A 3x3 convolution with ReLU brings the fused map of the first stage to
    ``out_channels``; as only this one is used, the others have none. There is no batch
    norm, and only the gates have biases.

    Args:
        in_channels (Sequence[int]): Of the maps, from shallow to deep.
        mid_channels (int): In which they are fused.
        out_channels (int): Of the result.
    """

    def __init__(
        self, in_channels: Sequence[int], mid_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, mid_channels, 1, bias=False) for channels in in_channels
        )
        #: One a map, except the deepest.
        self.gates = nn.ModuleList(
            nn.Conv2d(2 * mid_channels, 2, 1) for _ in in_channels[1:]
        )
        self.expand = nn.Conv2d(mid_channels, out_channels, 3, padding=1, bias=False)
        for conv in (*self.reduce, self.expand):
            nn.init.kaiming_uniform_(conv.weight, a=1)

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Fuse.

        Args:
            maps (Sequence[Tensor]): ``(N, C, H, W)``, from shallow to deep.
            size (Sequence[int]): Height and width of the result.

        Returns:
            Tensor: ``(N, out_channels, *size)``.
        """
        *shallower, fused = (conv(m).relu() for conv, m in zip(self.reduce, maps))
        for own, gate in zip(reversed(shallower), reversed(self.gates)):
            deeper = resize(fused, own.shape[2:])
            gates = gate(torch.cat([own, deeper], dim=1)).sigmoid()
            for_own, for_deeper = gates.chunk(2, dim=1)
            fused = for_own * own + for_deeper * deeper
        return self.expand(resize(fused, size)).relu()
