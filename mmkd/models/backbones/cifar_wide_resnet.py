"""Wide ResNet for 32x32 images."""

from typing import Sequence, Tuple

from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .layers import end_stage
from .staged_backbone import StagedBackbone


class _PreactBlock(nn.Module):
    """Batch norm and ReLU before each 3x3 convolution; the skip goes round them.

    Where the width changes, the skip is a 1x1 convolution and starts after the first
    ReLU.
    """

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        # Not in place: the first one of a stage is what a tap keeps.
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(x))
        skip = x if self.shortcut is None else self.shortcut(out)
        return skip + self.conv2(self.relu2(self.bn2(self.conv1(out))))


@MODELS.register_module()
class CIFARWideResNet(StagedBackbone):
    """WRN-16-1, -16-2, -40-1, -40-2, ... for CIFAR.

    `Wide Residual Networks <https://arxiv.org/abs/1605.07146>`_ without dropout, as in
    `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/wrn.py>`_, whose
    Kaiming initialisation it has too. Of 32x32 images the stages give maps of 32x32,
    16x16 and 8x8. The first two are sums without activation; the last ends with the
    network's final batch norm and ReLU.

    Args:
        depth (int): 6n + 4 for n blocks a stage: 16, 22, 28, 40.
        widen_factor (int): The stages have 16, 32 and 64 times so many channels.
        out_indices (Sequence[int]): Stages to put out. Defaults to (2,).

    Raises:
        ConfigError: ``depth`` is not 6n + 4, or there is no such stage.
    """

    def __init__(
        self, depth: int, widen_factor: int, out_indices: Sequence[int] = (2,)
    ) -> None:
        if depth < 10 or depth % 6 != 4:
            raise ConfigError(
                f'CIFARWideResNet: depth={depth} is not 6n + 4; choose one such as 10, '
                '16, 22, 28 or 40.'
            )
        blocks = depth // 6
        widths = [16, *(width * widen_factor for width in (16, 32, 64))]
        stages = []
        for stride, before, width in zip((1, 2, 2), widths, widths[1:]):
            sizes = [(before, stride)] + [(width, 1)] * (blocks - 1)
            stage = [_PreactBlock(size, width, step) for size, step in sizes]
            stages.append(nn.Sequential(*stage))
        # For taps: the last stage's own map, of which RepDistiller takes the attention.
        stages[-1].add_module('sum', nn.Identity())
        stages[-1].add_module('bn', nn.BatchNorm2d(widths[-1]))
        end_stage(stages[-1])
        stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        super().__init__(stem, stages, out_indices)

    @property
    def preact_names(self) -> Tuple[str, ...]:
        """As in RepDistiller: each stage's map after the batch norm that follows it."""
        return ('layer2.0.bn1', 'layer3.0.bn1', 'layer3.preact')
