"""ShuffleNet for 32x32 images."""

from typing import Sequence

import torch
from torch import Tensor, nn

from mmkd.registry import MODELS

from .layers import ChannelShuffle, conv_bn, make_stage
from .staged_backbone import StagedBackbone

GROUPS = 3
STEM_WIDTH = 24
#: (channels, blocks) of the stages.
STAGES = ((240, 4), (480, 8), (960, 4))


class _ShuffleUnit(nn.Module):
    """Adds a bottleneck of grouped convolutions; with stride 2, concatenates it."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.pool = None
        if stride == 2:
            self.pool = nn.AvgPool2d(3, stride=2, padding=1)
            out_channels -= in_channels
        hidden = out_channels // 4
        groups = 1 if in_channels == STEM_WIDTH else GROUPS
        self.branch = nn.Sequential(
            *conv_bn(in_channels, hidden, groups=groups),
            ChannelShuffle(groups),
            *conv_bn(hidden, hidden, 3, stride, groups=hidden),
            *conv_bn(hidden, out_channels, groups=GROUPS, relu=False),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        if self.pool is None:
            return self.relu(out + x)
        return self.relu(torch.cat([out, self.pool(x)], dim=1))


@MODELS.register_module()
class CIFARShuffleNetV1(StagedBackbone):
    """ShuffleNet with 3 groups for CIFAR.

    `ShuffleNet <https://arxiv.org/abs/1707.01083>`_ of 240, 480 and 960 channels as in
    `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/ShuffleNetv1.py>`_: a
    1x1 stem without stride, a ReLU after the depthwise convolution, torch's own
    initialisation. Of 32x32 images the stages give maps of 16x16, 8x8 and 4x4.

    Args:
        out_indices (Sequence[int]): Stages to put out. Defaults to (2,).

    Raises:
        ConfigError: There is no such stage.
    """

    def __init__(self, out_indices: Sequence[int] = (2,)) -> None:
        stages = []
        before = STEM_WIDTH
        for width, count in STAGES:
            units = [_ShuffleUnit(before, width, stride=2)]
            units += [_ShuffleUnit(width, width, stride=1) for _ in range(count - 1)]
            units[-1].relu = nn.Identity()
            stages.append(make_stage(*units))
            before = width
        stem = nn.Sequential(*conv_bn(3, STEM_WIDTH))
        super().__init__(stem, stages, out_indices, init_cfg=None)
