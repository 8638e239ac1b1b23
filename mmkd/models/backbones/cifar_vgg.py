"""VGG for 32x32 images."""

from collections import OrderedDict
from typing import Sequence

from torch import nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .layers import conv_bn, make_stage
from .staged_backbone import StagedBackbone

#: Convolutions in each of the five stages, by depth.
CONVS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)


@MODELS.register_module()
class CIFARVGG(StagedBackbone):
    """VGG-8, -11, -13, -16, -19 with batch norm and a single linear layer to follow.

    `Very Deep Convolutional Networks <https://arxiv.org/abs/1409.1556>`_ for CIFAR as
    in `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/vgg.py>`_: the
    convolutions have biases, a max pooling by 2 begins the second to fourth stage,
    none the fifth, and the initialisation is Kaiming's. Of 32x32 images the stages
    give maps of 32x32, 16x16, 8x8, 4x4 and 4x4; the last has 512 channels.

    Args:
        depth (int): 8, 11, 13, 16 or 19.
        out_indices (Sequence[int]): Stages to put out. Defaults to (4,).

    Raises:
        ConfigError: There is no such depth or stage.
    """

    def __init__(self, depth: int, out_indices: Sequence[int] = (4,)) -> None:
        if depth not in CONVS:
            raise ConfigError(
                f'CIFARVGG: there is no depth {depth!r}; choose one of '
                f'{", ".join(map(str, CONVS))}.'
            )
        stages = []
        before = 3
        for index, (convs, width) in enumerate(zip(CONVS[depth], WIDTHS)):
            layers = []
            for _ in range(convs):
                layers += conv_bn(before, width, 3, bias=True)
                before = width
            stage = make_stage(*layers[:-1])
            if 1 <= index <= 3:
                children = dict(stage.named_children())
                stage = nn.Sequential(OrderedDict(pool=nn.MaxPool2d(2), **children))
            stages.append(stage)
        super().__init__(nn.Identity(), stages, out_indices)
