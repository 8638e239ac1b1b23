"""From the map of a stage to logits."""

from torch import nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

#: Most channels before pooling: doubling them would fill any memory.
MOST = 2**16


@MODELS.register_module()
class StageClassifierAdapter(nn.Sequential):
    """Separable convolutions that halve the map, pooling, and a linear layer.

    What `OFA-KD <https://arxiv.org/abs/2310.19444>`_ hangs on a stage of a
    convolutional student: while the map has fewer than ``width`` channels, a
    separable 3x3 convolution of stride 2 with batch norm and ReLU doubles them. A map
    that starts with ``width`` or more gets a 1x1 convolution to ``width`` in their
    place.

    Args:
        in_channels (int): Of the student's map ``(N, C, H, W)``.
        out_channels (int): Number of classes.
        width (int): Channels before pooling; the authors take those of the wider
            network's last stage. At most 65,536.

    Raises:
        ConfigError: ``width`` is no such number.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        if type(width) is not int or not 0 < width <= MOST:
            raise ConfigError(
                'StageClassifierAdapter: width must be a whole number from 1 to '
                f'{MOST}, got {width!r}.'
            )
        layers = []
        channels = in_channels
        while channels < width:
            layers += _halve_map(channels, 2 * channels)
            channels *= 2
        if not layers or channels != width:
            layers.append(nn.Conv2d(channels, width, kernel_size=1))
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, *pool, nn.Linear(width, out_channels))


def _halve_map(in_channels, out_channels):
    return [
        nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size=3,
            stride=2,
            padding=1,
            groups=in_channels,
            bias=False,
        ),
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]
