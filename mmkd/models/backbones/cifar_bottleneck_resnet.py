"""ResNet-50 for 32x32 images."""

from typing import Sequence, Tuple

from mmpretrain.models import ResNet_CIFAR
from mmpretrain.models.backbones.resnet import Bottleneck
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .layers import end_stage
from .staged_backbone import check_out_indices


class _Bottleneck(Bottleneck):
    """mmpretrain's, with a last ReLU of its own that can be taken off."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.last_relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        out = self.drop_path(self.norm3(self.conv3(out)))
        skip = x if self.downsample is None else self.downsample(x)
        return self.last_relu(out + skip)


@MODELS.register_module()
class CIFARBottleneckResNet(ResNet_CIFAR):
    """mmpretrain's ``ResNet_CIFAR`` of bottleneck blocks, with maps before activation.

    A 3x3 stem (``conv1``, ``bn1``) and no max pooling, as in `RepDistiller
    <https://github.com/HobbitLong/RepDistiller/blob/master/models/resnetv2.py>`_, whose
    Kaiming initialisation without zeros in the blocks' last batch norms it has too. Of
    32x32 images the stages give maps of 32x32, 16x16, 8x8 and 4x4.

    Args:
        depth (int): 50, 101 or 152. Defaults to 50.
        out_indices (Sequence[int]): Stages to put out. Defaults to (3,).
        zero_init_residual (bool): Defaults to False.
        **kwargs: As of ``ResNet_CIFAR``.

    Raises:
        ConfigError: There is no such depth or stage.
    """

    arch_settings = {
        depth: (_Bottleneck, blocks)
        for depth, (block, blocks) in ResNet_CIFAR.arch_settings.items()
        if block is Bottleneck
    }

    def __init__(
        self,
        depth: int = 50,
        out_indices: Sequence[int] = (3,),
        zero_init_residual: bool = False,
        **kwargs,
    ) -> None:
        if depth not in self.arch_settings:
            raise ConfigError(
                f'CIFARBottleneckResNet: there is no depth {depth!r}; choose one of '
                f'{", ".join(map(str, self.arch_settings))}.'
            )
        super().__init__(
            depth,
            out_indices=check_out_indices(out_indices, kwargs.get('num_stages', 4)),
            zero_init_residual=zero_init_residual,
            **kwargs,
        )
        for name in self.res_layers:
            stage = getattr(self, name)
            stage[-1].last_relu = nn.Identity()
            end_stage(stage)

    @property
    def preact_names(self) -> Tuple[str, ...]:
        """For each stage, the module that puts out its map before activation."""
        return tuple(f'{name}.preact' for name in self.res_layers)
