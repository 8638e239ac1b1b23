"""A 1x1 convolution and batch norm from the student's channels to the teacher's."""

from torch import nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS


@MODELS.register_module()
class ConvNormAdapter(nn.Sequential):
    """1x1 convolution without bias, batch norm and, if wanted, a ReLU.

    With the ReLU it is the regressor that re-implementations of `FitNets
    <https://arxiv.org/abs/1412.6550>`_ use; without, the student's transform of `OFD
    <https://arxiv.org/abs/1904.01866>`_.

    Args:
        in_channels (int): Of the student's map ``(N, C, H, W)``.
        out_channels (int): Of the teacher's.
        relu (bool): End in a ReLU, for teachers' maps after activation. Defaults to
            False.
        upscale (int): 2 doubles height and width by a transposed 4x4 convolution in
            the place of the 1x1. Defaults to 1.

    Raises:
        ConfigError: ``relu`` is neither True nor False, ``upscale`` neither 1 nor 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        relu: bool = False,
        upscale: int = 1,
    ) -> None:
        if upscale not in (1, 2):
            raise ConfigError(
                f'ConvNormAdapter: upscale must be 1 or 2, got {upscale!r}.'
            )
        if not isinstance(relu, bool):
            raise ConfigError(
                f'ConvNormAdapter: relu must be True or False, got {relu!r}.'
            )
        conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        if upscale == 2:
            conv = nn.ConvTranspose2d(
                in_channels, out_channels, 4, stride=2, padding=1, bias=False
            )
        norm = nn.BatchNorm2d(out_channels)
        super().__init__(conv, norm, *([nn.ReLU()] if relu else []))
