"""ResNet of basic blocks for 32x32 images."""

from typing import Sequence

from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .layers import conv_bn, make_stage
from .staged_backbone import StagedBackbone


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv_bn(in_channels, out_channels, 3, stride)
        self.conv2, self.bn2 = conv_bn(out_channels, out_channels, 3, relu=False)
        self.downsample = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                *conv_bn(in_channels, out_channels, 1, stride, relu=False)
            )
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + self.downsample(x))


@MODELS.register_module()
class CIFARResNet(StagedBackbone):
    """ResNet-20, -32, -56, -110, ... for CIFAR, as distillation papers use it.

    The network of section 4.2 of `Deep Residual Learning for Image Recognition
    <https://arxiv.org/abs/1512.03385>`_ with a 1x1 convolution and batch norm as the
    skip wherever the shape changes, as in `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/resnet.py>`_; that
    one's Kaiming initialisation too. Of 32x32 images the stages give maps of 32x32,
    16x16 and 8x8.

    Args:
        depth (int): 6n + 2 for n blocks a stage: 8, 14, 20, 32, 44, 56, 110.
        widths (Sequence[int]): Channels of the stem and of the three stages; with
            (32, 64, 128, 256) depth 8 is resnet8x4 and 32 is resnet32x4. Defaults to
            (16, 16, 32, 64).
        out_indices (Sequence[int]): Stages to put out. Defaults to (2,).

    Raises:
        ConfigError: ``depth`` is not 6n + 2, there are not four widths, or there is no
            such stage.
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        out_indices: Sequence[int] = (2,),
    ) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ConfigError(
                f'CIFARResNet: depth={depth} is not 6n + 2; choose one such as 8, 14, '
                '20, 32, 44, 56 or 110.'
            )
        if len(widths) != 4:
            raise ConfigError(
                f'CIFARResNet: widths={widths!r}: give four, the channels of the stem '
                'and of the three stages, such as (16, 16, 32, 64).'
            )
        blocks = depth // 6
        stages = []
        for stride, before, width in zip((1, 2, 2), widths, widths[1:]):
            sizes = [(before, stride)] + [(width, 1)] * (blocks - 1)
            stage = [_BasicBlock(size, width, step) for size, step in sizes]
            stage[-1].relu2 = nn.Identity()
            stages.append(make_stage(*stage))
        super().__init__(nn.Sequential(*conv_bn(3, widths[0], 3)), stages, out_indices)
