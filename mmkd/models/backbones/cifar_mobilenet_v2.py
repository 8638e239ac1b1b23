"""MobileNetV2 for 32x32 images."""

from typing import Sequence

from torch import Tensor, nn

from mmkd.registry import MODELS

from .layers import conv_bn, make_stage
from .staged_backbone import StagedBackbone

EXPANSION = 6
#: By stage, groups of (channels, blocks, stride of the first block).
GROUPS = (
    ((16, 1, 1), (24, 2, 1)),
    ((32, 3, 2),),
    ((64, 4, 2), (96, 3, 1)),
    ((160, 3, 2), (320, 1, 1)),
)


class _InvertedResidual(nn.Module):
    def __init__(self, in_channels, out_channels, stride, expansion):
        super().__init__()
        hidden = in_channels * expansion
        self.conv = nn.Sequential(
            *conv_bn(in_channels, hidden),
            *conv_bn(hidden, hidden, 3, stride, groups=hidden),
            *conv_bn(hidden, out_channels, relu=False),
        )
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        return x + out if self.has_skip else out


@MODELS.register_module()
class CIFARMobileNetV2(StagedBackbone):
    """MobileNetV2 with expansion 6 for CIFAR.

    `MobileNetV2 <https://arxiv.org/abs/1801.04381>`_ as in `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/mobilenetv2.py>`_
    (its ``mobile_half`` by default): the 24-channel blocks keep the size, channels are
    rounded down, the initialisation is Kaiming's. Of 32x32 images the stem gives 16x16,
    the stages 16x16, 8x8, 4x4, 2x2 and 2x2. The first four end with linear bottlenecks,
    so their maps are without activation; the fifth is the 1x1 convolution to 1280
    channels.

    Args:
        widen_factor (float): Multiplies all channels but the 1280 of the last stage,
            which it multiplies only where it is above 1. Defaults to 0.5.
        out_indices (Sequence[int]): Stages to put out. Defaults to (4,).

    Raises:
        ConfigError: There is no such stage.
    """

    def __init__(
        self, widen_factor: float = 0.5, out_indices: Sequence[int] = (4,)
    ) -> None:
        before = int(32 * widen_factor)
        stem = nn.Sequential(*conv_bn(3, before, 3, stride=2))
        stages = []
        for groups in GROUPS:
            blocks = []
            for channels, count, stride in groups:
                width = int(channels * widen_factor)
                # The first block of all has nothing to expand yet.
                expansion = EXPANSION if stages or blocks else 1
                for step in [stride] + [1] * (count - 1):
                    blocks.append(_InvertedResidual(before, width, step, expansion))
                    before = width
            stages.append(make_stage(*blocks, relu=False))
        last = int(1280 * max(widen_factor, 1))
        stages.append(make_stage(*conv_bn(before, last, relu=False)))
        super().__init__(stem, stages, out_indices)
