"""What the networks are built of."""

from typing import List

from torch import Tensor, nn


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    relu: bool = True,
) -> List[nn.Module]:
    """List a convolution that keeps the size, up to its stride, and what follows it.

    Args:
        in_channels (int): Of the convolution.
        out_channels (int): Of the convolution.
        kernel_size (int): Odd. Defaults to 1.
        stride (int): Defaults to 1.
        groups (int): Defaults to 1.
        bias (bool): Of the convolution. Defaults to False.
        relu (bool): Whether a ReLU follows the batch norm. Defaults to True.

    Returns:
        list[nn.Module]: Two modules, or three with the ReLU.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=bias,
    )
    relus = [nn.ReLU(inplace=True)] if relu else []
    return [conv, nn.BatchNorm2d(out_channels), *relus]


def make_stage(*modules: nn.Module, relu: bool = True) -> nn.Sequential:
    """Chain modules that end without activation, then ``preact`` and ``relu``.

    Args:
        *modules (nn.Module): Named ``0``, ``1``, ...
        relu (bool): False for a stage that puts out what it has before activation,
            and so has only ``preact``. Defaults to True.
    """
    return end_stage(nn.Sequential(*modules), relu)


def end_stage(stage: nn.Sequential, relu: bool = True) -> nn.Sequential:
    """Append ``preact`` and ``relu`` to a stage, as :func:`make_stage` does."""
    stage.add_module('preact', nn.Identity())
    if relu:
        # Not in place: a tap on ``preact`` keeps its output.
        stage.add_module('relu', nn.ReLU())
    return stage


class ChannelShuffle(nn.Module):
    """Interleaves groups of channels, as in `ShuffleNet
    <https://arxiv.org/abs/1707.01083>`_.

    Args:
        groups (int): Channel c of group g, of n channels, becomes c * groups + g.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Shuffle ``(N, C, H, W)``."""
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
