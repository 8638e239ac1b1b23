"""A 1x1 convolution from the student's channels to the teacher's."""

from torch import nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS


@MODELS.register_module()
class ConvAdapter(nn.Conv2d):
    """1x1 convolution of feature maps ``(N, C, H, W)``.

    Args:
        in_channels (int): Of the student's map.
        out_channels (int): Of the teacher's.
        bias (bool): Add a bias; what standardises channels afterwards has no use for
            it. Defaults to True.

    Raises:
        ConfigError: ``bias`` is neither True nor False.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        if not isinstance(bias, bool):
            raise ConfigError(f'ConvAdapter: bias must be True or False, got {bias!r}.')
        super().__init__(in_channels, out_channels, kernel_size=1, bias=bias)
