"""MobileNet for ImageNet."""

from typing import Sequence

from torch import nn

from mmkd.registry import MODELS

from .layers import conv_bn, make_stage
from .staged_backbone import StagedBackbone

#: (channels, stride) of the separable convolutions, by stage.
STAGES = (
    ((64, 1), (128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    ((1024, 2), (1024, 1)),
)


def _separable(in_channels, out_channels, stride, relu):
    return nn.Sequential(
        *conv_bn(in_channels, in_channels, 3, stride, groups=in_channels),
        *conv_bn(in_channels, out_channels, relu=relu),
    )


@MODELS.register_module()
class MobileNetV1(StagedBackbone):
    """MobileNet, the student of ResNet-50 on ImageNet in the literature.

    `MobileNets <https://arxiv.org/abs/1704.04861>`_ with torch's own initialisation,
    and the four stages of `mdistiller
    <https://github.com/megvii-research/mdistiller/blob/master/mdistiller/models/imagenet/mobilenetv1.py>`_:
    1/4, 1/8, 1/16 and 1/32 of the image's size, 128, 256, 512 and 1024 channels.

    Args:
        widen_factor (float): Multiplies all channels. Defaults to 1.0.
        out_indices (Sequence[int]): Stages to put out. Defaults to (3,).

    Raises:
        ConfigError: There is no such stage.
    """

    def __init__(
        self, widen_factor: float = 1.0, out_indices: Sequence[int] = (3,)
    ) -> None:
        before = int(32 * widen_factor)
        stem = nn.Sequential(*conv_bn(3, before, 3, stride=2))
        stages = []
        for separables in STAGES:
            blocks = []
            for channels, stride in separables:
                width = int(channels * widen_factor)
                is_last = len(blocks) == len(separables) - 1
                blocks.append(_separable(before, width, stride, relu=not is_last))
                before = width
            stages.append(make_stage(*blocks))
        super().__init__(stem, stages, out_indices, init_cfg=None)
