"""Networks of the distillation literature that mmpretrain does not have."""

from .cifar_bottleneck_resnet import CIFARBottleneckResNet
from .cifar_mobilenet_v2 import CIFARMobileNetV2
from .cifar_resnet import CIFARResNet
from .cifar_shufflenet_v1 import CIFARShuffleNetV1
from .cifar_shufflenet_v2 import CIFARShuffleNetV2
from .cifar_vgg import CIFARVGG
from .cifar_wide_resnet import CIFARWideResNet
from .frozen_backbone import FrozenBackbone
from .mobilenet_v1 import MobileNetV1
from .staged_backbone import StagedBackbone

__all__ = [
    'CIFARBottleneckResNet',
    'CIFARMobileNetV2',
    'CIFARResNet',
    'CIFARShuffleNetV1',
    'CIFARShuffleNetV2',
    'CIFARVGG',
    'CIFARWideResNet',
    'FrozenBackbone',
    'MobileNetV1',
    'StagedBackbone',
]
