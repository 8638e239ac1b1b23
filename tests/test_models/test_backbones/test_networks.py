"""The networks of the literature: sizes, maps, training and maps before activation."""

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from torch.nn import functional as F

from mmkd.errors import ConfigError
from mmkd.models.taps import Taps
from mmkd.registry import MODELS
from mmkd.testing import classification_batch

WIDE = (32, 64, 128, 256)


def resnet(depth, **kwargs):
    return dict(type='mmkd.CIFARResNet', depth=depth, **kwargs)


def wrn(depth, widen_factor):
    return dict(type='mmkd.CIFARWideResNet', depth=depth, widen_factor=widen_factor)


def vgg(depth):
    return dict(type='mmkd.CIFARVGG', depth=depth)


#: One of each class: config, (channels, height) of the stages of a 32x32 image.
NETWORKS = {
    'resnet': (resnet(14), [(16, 32), (32, 16), (64, 8)]),
    'resnet8x4': (resnet(8, widths=WIDE), [(64, 32), (128, 16), (256, 8)]),
    'wrn': (wrn(16, 2), [(32, 32), (64, 16), (128, 8)]),
    'wrn_1': (wrn(16, 1), [(16, 32), (32, 16), (64, 8)]),
    'vgg': (vgg(8), [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)]),
    'bottleneck': (
        dict(type='mmkd.CIFARBottleneckResNet'),
        [(256, 32), (512, 16), (1024, 8), (2048, 4)],
    ),
    'mobilenet_v2': (
        dict(type='mmkd.CIFARMobileNetV2'),
        [(12, 16), (16, 8), (48, 4), (160, 2), (1280, 2)],
    ),
    'shufflenet_v1': (
        dict(type='mmkd.CIFARShuffleNetV1'),
        [(240, 16), (480, 8), (960, 4)],
    ),
    'shufflenet_v2': (
        dict(type='mmkd.CIFARShuffleNetV2'),
        [(116, 16), (232, 8), (464, 4), (1024, 4)],
    ),
    'mobilenet_v1': (
        dict(type='mmkd.MobileNetV1'),
        [(128, 8), (256, 4), (512, 2), (1024, 1)],
    ),
}
every_network = pytest.mark.parametrize('name', NETWORKS)


def all_stages(name):
    """Build a network that puts out every stage's map."""
    config, maps = NETWORKS[name]
    return MODELS.build(dict(config, out_indices=tuple(range(len(maps)))))


# What the definitions in https://github.com/HobbitLong/RepDistiller (models/) have with
# 100 classes; MobileNet with 1000 as in https://github.com/megvii-research/mdistiller
# (mdistiller/models/imagenet/), the 4.2 million of https://arxiv.org/abs/1704.04861.
@pytest.mark.parametrize(
    'config, classes, parameters',
    [
        (resnet(20), 100, 278_324),
        (resnet(32), 100, 472_756),
        (resnet(56), 100, 861_620),
        (resnet(110), 100, 1_736_564),
        (resnet(8, widths=WIDE), 100, 1_233_540),
        (resnet(32, widths=WIDE), 100, 7_433_860),
        (wrn(40, 2), 100, 2_255_156),
        (wrn(40, 1), 100, 569_780),
        (wrn(16, 2), 100, 703_284),
        (vgg(8), 100, 3_965_028),
        (vgg(13), 100, 9_462_180),
        (dict(type='mmkd.CIFARBottleneckResNet'), 100, 23_705_252),
        (dict(type='mmkd.CIFARMobileNetV2'), 100, 812_836),
        (dict(type='mmkd.CIFARShuffleNetV1'), 100, 949_258),
        (dict(type='mmkd.CIFARShuffleNetV2'), 100, 1_355_528),
        (dict(type='mmkd.MobileNetV1'), 1000, 4_231_976),
    ],
    ids=str,
)
def test_parameters_are_those_of_the_literature(config, classes, parameters):
    backbone = MODELS.build(config)
    backbone.eval()
    (last,) = backbone(torch.zeros(1, 3, 32, 32))
    linear = torch.nn.Linear(last.size(1), classes)
    every = [*backbone.parameters(), *linear.parameters()]
    assert sum(value.numel() for value in every) == parameters


@every_network
def test_maps_of_all_stages(name):
    maps = all_stages(name)(torch.zeros(2, 3, 32, 32))
    assert isinstance(maps, tuple)
    shapes = [(2, width, size, size) for width, size in NETWORKS[name][1]]
    assert [value.shape for value in maps] == shapes


def test_mobilenet_v1_halves_imagenets_images_five_times():
    (last,) = MODELS.build(dict(type='mmkd.MobileNetV1'))(torch.zeros(1, 3, 224, 224))
    assert last.shape == (1, 1024, 7, 7)


@every_network
def test_trains_and_predicts_in_an_image_classifier(name):
    config, maps = NETWORKS[name]
    model = dict(
        type='ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor', mean=[127.5] * 3, std=[64.0] * 3
        ),
        backbone=config,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=7, in_channels=maps[-1][0]),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = ROOT_MODELS.build(model)
    batch = classification_batch(n=2, classes=7, size=64)
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    losses['loss'].backward()
    without = [key for key, value in model.named_parameters() if value.grad is None]
    assert without == []
    samples = model.eval().val_step(batch)
    assert [sample.pred_score.shape for sample in samples] == [(7,), (7,)]


def step_with_taps(network, inputs=()):
    """Train one step; return the stages' maps and the tapped maps and inputs."""
    names = network.preact_names
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with Taps(network, names, 'student', inputs=inputs) as taps:
        maps = network(torch.randn(2, 3, 64, 64))
    sum(value.square().mean() for value in maps).backward()
    optimizer.step()
    # The taps refuse what was changed in place after it was recorded.
    preacts = [value for key in names for value in taps[key].outputs()]
    return maps, preacts, [taps[key].calls[0].args[0] for key in inputs]


def shuffled(x):
    """Put the channels of the first half in the even places, of the second in odd."""
    out = torch.empty_like(x)
    out[:, 0::2], out[:, 1::2] = x[:, : x.size(1) // 2], x[:, x.size(1) // 2 :]
    return out


@every_network
def test_preact_is_what_the_network_goes_on_with_before_activation(name):
    network = all_stages(name)
    if name.startswith('wrn'):
        inputs = ('layer2.0.conv1', 'layer3.0.conv1')
        maps, preacts, inputs = step_with_taps(network, inputs)
        went_on = [*inputs, maps[-1]]
    else:
        went_on, preacts, _ = step_with_taps(network)
    assert len(preacts) == len(NETWORKS[name][1])
    for index, (preact, after) in enumerate(zip(preacts, went_on)):
        assert (preact < 0).any()
        is_last = index == len(preacts) - 1
        if name == 'mobilenet_v2' and not is_last:  # linear bottlenecks
            expected = preact
        elif name == 'shufflenet_v2' and not is_last:
            expected = shuffled(F.relu(preact))
        else:
            expected = F.relu(preact)
        torch.testing.assert_close(after, expected, rtol=0, atol=0)


@pytest.mark.parametrize('out_indices', [(3,), (0, 5), (-1,), (), 2])
@pytest.mark.parametrize('config', [resnet(8), wrn(10, 1)], ids=str)
def test_stages_that_do_not_exist(config, out_indices):
    with pytest.raises(ConfigError, match='has the stages 0 to 2; .* such as'):
        MODELS.build(dict(config, out_indices=out_indices))


def test_stages_that_do_not_exist_in_mmpretrains_network():
    with pytest.raises(ConfigError, match=r'out_indices=\(4,\).* stages 0 to 3'):
        MODELS.build(dict(type='mmkd.CIFARBottleneckResNet', out_indices=(4,)))


@pytest.mark.parametrize(
    'config, message',
    [
        (resnet(18), 'depth=18 is not 6n'),
        (resnet(2), 'depth=2 is not 6n'),
        (resnet(8, widths=(16, 32, 64)), 'give four'),
        (wrn(20, 1), 'depth=20 is not 6n'),
        (vgg(14), 'no depth 14; choose one of 8, 11, 13, 16, 19'),
        (
            dict(type='mmkd.CIFARBottleneckResNet', depth=18),
            'no depth 18; .* 50, 101, 152',
        ),
    ],
    ids=str,
)
def test_sizes_that_do_not_exist(config, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.build(config)


@pytest.mark.parametrize('name', ['resnet', 'wrn', 'vgg', 'bottleneck', 'mobilenet_v2'])
def test_convolutions_start_as_in_the_literature(name):
    torch.manual_seed(0)
    network = all_stages(name)
    network.init_weights()
    convs = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for conv in convs:
        if conv.weight.numel() > 5000:
            area = conv.kernel_size[0] * conv.kernel_size[1]
            std = (2 / (conv.out_channels * area)) ** 0.5
            assert conv.weight.std().item() == pytest.approx(std, rel=0.06)
        assert conv.bias is None or not conv.bias.any()
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and not m.bias.any() for m in norms)
