"""Renaming the weights of other repositories' CIFAR networks to those here.

The architectures are the same, so nothing but the names changes.
"""

import re
from typing import Callable, Dict, NamedTuple, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmkd.construct import build_from
from mmkd.errors import CheckpointError
from mmkd.registry import MODELS

Rule = Tuple[str, Union[str, Callable[[re.Match], str]]]


class Arch(NamedTuple):
    """A backbone, and what its weights are called elsewhere.

    ``rules`` are applied in order, as of ``re.sub``; ``classifier`` is there what is
    ``head.fc`` here.
    """

    backbone: dict
    classifier: str
    rules: Sequence[Rule]


def _branch(unit: str, branch: str, **slots: int) -> Sequence[Rule]:
    """Rules for what are attributes of a unit there, and numbers in a branch here."""
    return [
        (rf'^({unit})\.{name}\.', rf'\g<1>.{branch}.{slot}.')
        for name, slot in slots.items()
    ]


#: Where MobileNetV2's seven groups of blocks begin here: stage and block.
MOBILENET_V2_GROUPS = ((1, 0), (1, 1), (2, 0), (3, 0), (3, 4), (4, 0), (4, 3))


def _mobilenet_v2_block(match: re.Match) -> str:
    stage, first = MOBILENET_V2_GROUPS[int(match[1])]
    return f'layer{stage}.{first + int(match[2])}.'


STEM = [(r'^conv1\.', 'stem.0.'), (r'^bn1\.', 'stem.1.')]
WIDE_RESNET = [
    (r'^conv1\.', 'stem.'),
    (r'^bn1\.', 'layer3.bn.'),
    (r'^block(\d)\.layer\.', r'layer\1.'),
    (r'\.convShortcut\.', '.shortcut.'),
]
VGG = [(r'^block(\d)\.', lambda match: f'layer{int(match[1]) + 1}.')]
MOBILENET_V2 = [
    (r'^conv1\.', 'stem.'),
    (r'^conv2\.', 'layer5.'),
    (r'^blocks\.([0-6])\.(\d)\.', _mobilenet_v2_block),
]
SHUFFLENET_V1 = [
    *STEM,
    *_branch(r'layer\d\.\d', 'branch', conv1=0, bn1=1, conv2=4, bn2=5, conv3=7, bn3=8),
]
SHUFFLENET_V2 = [
    *STEM,
    (r'^conv2\.', 'layer4.0.'),
    (r'^bn2\.', 'layer4.1.'),
    *_branch(r'layer\d\.0', 'left', conv1=0, bn1=1, conv2=2, bn2=3),
    *_branch(r'layer\d\.0', 'right', conv3=0, bn3=1, conv4=3, bn4=4, conv5=5, bn5=6),
    *_branch(
        r'layer\d\.[1-9]', 'right', conv1=0, bn1=1, conv2=3, bn2=4, conv3=5, bn3=6
    ),
]


def _resnet(depth, **kwargs):
    return Arch(dict(type='mmkd.CIFARResNet', depth=depth, **kwargs), 'fc', STEM)


def _wide_resnet(depth, widen_factor):
    backbone = dict(type='mmkd.CIFARWideResNet', depth=depth, widen_factor=widen_factor)
    return Arch(backbone, 'fc', WIDE_RESNET)


WIDE = (32, 64, 128, 256)
#: By the names of mdistiller.
ARCHS = {
    **{f'resnet{n}': _resnet(n) for n in (8, 14, 20, 32, 44, 56, 110)},
    **{f'resnet{n}x4': _resnet(n, widths=WIDE) for n in (8, 32)},
    'ResNet50': Arch(
        dict(type='mmkd.CIFARBottleneckResNet', depth=50),
        'linear',
        [(r'\.shortcut\.', '.downsample.')],
    ),
    **{f'wrn_{n}_{k}': _wide_resnet(n, k) for n in (16, 40) for k in (1, 2)},
    **{
        f'vgg{n}': Arch(dict(type='mmkd.CIFARVGG', depth=n), 'classifier', VGG)
        for n in (8, 11, 13, 16, 19)
    },
    'MobileNetV2': Arch(
        dict(type='mmkd.CIFARMobileNetV2'), 'classifier.0', MOBILENET_V2
    ),
    'ShuffleV1': Arch(dict(type='mmkd.CIFARShuffleNetV1'), 'linear', SHUFFLENET_V1),
    'ShuffleV2': Arch(dict(type='mmkd.CIFARShuffleNetV2'), 'linear', SHUFFLENET_V2),
}


def convert_state_dict(
    state: Dict[str, Tensor], arch: str, num_classes: int = 100
) -> Dict[str, Tensor]:
    """Rename a network's weights for an ``ImageClassifier`` with a ``LinearClsHead``.

    Args:
        state (dict[str, Tensor]): Of `RepDistiller
            <https://github.com/HobbitLong/RepDistiller>`_ or `mdistiller
            <https://github.com/megvii-research/mdistiller>`_; ResNets of basic blocks
            also of others who name them as torchvision does, such as
            `pytorch-cifar-models <https://github.com/chenyaofo/pytorch-cifar-models>`_.
        arch (str): Of :data:`ARCHS`.
        num_classes (int): Defaults to 100.

    Returns:
        dict[str, Tensor]: All of the classifier's weights.

    Raises:
        CheckpointError: A weight is left over, missing or of another shape.
    """
    wanted = _classifier_shapes(ARCHS[arch].backbone, num_classes)
    renamed = {_rename(key, ARCHS[arch]): (key, value) for key, value in state.items()}
    for key in wanted:
        # PyTorch before 0.4.1, with which some teachers were trained, did not count.
        if key.endswith('.num_batches_tracked'):
            renamed.setdefault(key, (key, torch.tensor(0)))
    problems = [
        f'{name!r} has no place in it'
        for key, (name, _) in renamed.items()
        if key not in wanted
    ]
    for key, shape in wanted.items():
        if key not in renamed:
            problems.append(f'nothing becomes {key!r}')
        elif renamed[key][1].shape != shape:
            name, value = renamed[key]
            problems.append(f'{name!r} is {tuple(value.shape)}, not {tuple(shape)}')
    if problems:
        raise CheckpointError(
            f'the checkpoint is of no {arch} with {num_classes} classes, '
            f'{len(problems)} weights differ: {problems[0]}; choose the architecture '
            'and the number of classes that it was trained with.'
        )
    return {key: renamed[key][1] for key in wanted}


def _rename(key, arch):
    if key in (f'{arch.classifier}.weight', f'{arch.classifier}.bias'):
        return 'head.fc.' + key.rpartition('.')[2]
    for pattern, replacement in arch.rules:
        key = re.sub(pattern, replacement, key)
    return 'backbone.' + key


def _classifier_shapes(backbone, num_classes):
    backbone = build_from(MODELS, backbone)
    backbone.eval()
    with torch.no_grad():
        channels = backbone(torch.zeros(1, 3, 32, 32))[-1].size(1)
    shapes = {f'backbone.{k}': v.shape for k, v in backbone.state_dict().items()}
    shapes['head.fc.weight'] = torch.Size([num_classes, channels])
    shapes['head.fc.bias'] = torch.Size([num_classes])
    return shapes
