"""ShuffleNetV2 for 32x32 images."""

from typing import Sequence

import torch
from torch import Tensor, nn

from mmkd.registry import MODELS

from .layers import ChannelShuffle, conv_bn, make_stage
from .staged_backbone import StagedBackbone

STEM_WIDTH, LAST_WIDTH = 24, 1024
#: (channels, units after the one that halves the size) of the stages.
STAGES = ((116, 3), (232, 7), (464, 3))


def _branch(in_channels, out_channels, stride):
    return nn.Sequential(
        *conv_bn(in_channels, out_channels),
        *conv_bn(
            out_channels, out_channels, 3, stride, groups=out_channels, relu=False
        ),
        *conv_bn(out_channels, out_channels),
    )


class _DownUnit(nn.Module):
    """Two branches of stride 2, concatenated and shuffled."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        half = out_channels // 2
        self.left = nn.Sequential(
            *conv_bn(in_channels, in_channels, 3, 2, groups=in_channels, relu=False),
            *conv_bn(in_channels, half),
        )
        self.right = _branch(in_channels, half, stride=2)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(torch.cat([self.left(x), self.right(x)], dim=1))


class _Unit(nn.Module):
    """A branch on the second half of the channels; then all are shuffled."""

    def __init__(self, channels):
        super().__init__()
        self.right = _branch(channels // 2, channels // 2, stride=1)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, dim=1)
        return self.shuffle(torch.cat([kept, self.right(changed)], dim=1))


@MODELS.register_module()
class CIFARShuffleNetV2(StagedBackbone):
    """ShuffleNetV2 of net size 1 for CIFAR.

    `ShuffleNet V2 <https://arxiv.org/abs/1807.11164>`_ of 116, 232 and 464 channels as
    in `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/ShuffleNetv2.py>`_: a
    1x1 stem without stride, one unit a stage more than in the paper, torch's own
    initialisation. Of 32x32 images the stages give maps of 16x16, 8x8, 4x4 and 4x4; the
    fourth is the 1x1 convolution to 1024 channels.

    The map before activation of the first three is also before the last channel
    shuffle, as in RepDistiller; the half that passes the last unit unchanged has been
    activated before.

    Args:
        out_indices (Sequence[int]): Stages to put out. Defaults to (3,).

    Raises:
        ConfigError: There is no such stage.
    """

    def __init__(self, out_indices: Sequence[int] = (3,)) -> None:
        stages = []
        before = STEM_WIDTH
        for width, count in STAGES:
            units = [_DownUnit(before, width), *(_Unit(width) for _ in range(count))]
            # The unchanged half is not negative: a ReLU of both halves is one of the
            # other half.
            units[-1].right[-1] = units[-1].shuffle = nn.Identity()
            stage = make_stage(*units)
            stage.add_module('shuffle', ChannelShuffle(2))
            stages.append(stage)
            before = width
        stages.append(make_stage(*conv_bn(before, LAST_WIDTH, relu=False)))
        stem = nn.Sequential(*conv_bn(3, STEM_WIDTH))
        super().__init__(stem, stages, out_indices, init_cfg=None)
