"""A 1x1 convolution from the student's channels to the teacher's."""

from torch import nn

from mmkd.registry import MODELS


@MODELS.register_module()
class ConvAdapter(nn.Conv2d):
    """1x1 convolution of feature maps ``(N, C, H, W)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)
