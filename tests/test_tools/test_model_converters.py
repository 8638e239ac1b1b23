"""The converter, on networks written here in the original layouts and names."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from torch.nn import functional as F

from mmkd.errors import CheckpointError
from mmkd.models.backbones.convert import ARCHS, convert_state_dict

TOOL = Path(__file__).resolve().parents[2] / 'tools/model_converters/convert_cifar.py'


class Reference(dict):
    """A state dict that a forward pass fills with random weights, under its names."""

    def conv(self, x, name, width, kernel=1, stride=1, groups=1, bias=False):
        shape = (width, x.size(1) // groups, kernel, kernel)
        weight = torch.randn(shape) * (2 / (shape[1] * kernel**2)) ** 0.5
        self[f'{name}.weight'] = weight
        if bias:
            self[f'{name}.bias'] = torch.randn(width)
        offset = self.get(f'{name}.bias')
        return F.conv2d(x, weight, offset, stride, kernel // 2, groups=groups)

    def norm(self, x, name):
        keys = [f'{name}.{key}' for key in ('running_mean', 'running_var')]
        keys += [f'{name}.{key}' for key in ('weight', 'bias')]
        self[f'{name}.num_batches_tracked'] = torch.tensor(7)
        for key in keys:
            positive = key.endswith(('var', 'weight'))
            values = torch.rand(x.size(1))
            self[key] = values + 0.5 if positive else values - 0.5
        return F.batch_norm(x, *(self[key] for key in keys))

    def linear(self, x, name, classes=100):
        self[f'{name}.weight'] = torch.randn(classes, x.size(1)) / x.size(1) ** 0.5
        self[f'{name}.bias'] = torch.randn(classes)
        x = x.mean((2, 3))
        return F.linear(x, self[f'{name}.weight'], self[f'{name}.bias'])

    def conv_norm(self, x, conv, norm, *args, **kwargs):
        return self.norm(self.conv(x, conv, *args, **kwargs), norm)


def resnet(w, x, depth, widths):
    x = F.relu(w.conv_norm(x, 'conv1', 'bn1', widths[0], 3))
    for stage in (1, 2, 3):
        for block in range((depth - 2) // 6):
            at, width = f'layer{stage}.{block}', widths[stage]
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(w.conv_norm(x, f'{at}.conv1', f'{at}.bn1', width, 3, stride))
            y = w.conv_norm(y, f'{at}.conv2', f'{at}.bn2', width, 3)
            if x.shape != y.shape:
                down = f'{at}.downsample'
                x = w.conv_norm(x, f'{down}.0', f'{down}.1', width, 1, stride)
            x = F.relu(x + y)
    return w.linear(x, 'fc')


def bottleneck_resnet(w, x):
    x = F.relu(w.conv_norm(x, 'conv1', 'bn1', 64, 3))
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            at, width = f'layer{stage}.{block}', 32 * 2**stage
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(w.conv_norm(x, f'{at}.conv1', f'{at}.bn1', width))
            y = F.relu(w.conv_norm(y, f'{at}.conv2', f'{at}.bn2', width, 3, stride))
            y = w.conv_norm(y, f'{at}.conv3', f'{at}.bn3', 4 * width)
            if x.shape != y.shape:
                skip = f'{at}.shortcut'
                x = w.conv_norm(x, f'{skip}.0', f'{skip}.1', 4 * width, 1, stride)
            x = F.relu(x + y)
    return w.linear(x, 'linear')


def wide_resnet(w, x, depth, factor):
    x = w.conv(x, 'conv1', 16, 3)
    for stage in (1, 2, 3):
        for block in range((depth - 4) // 6):
            at, width = f'block{stage}.layer.{block}', 8 * 2**stage * factor
            stride = 2 if stage > 1 and block == 0 else 1
            before = F.relu(w.norm(x, f'{at}.bn1'))
            y = w.conv_norm(before, f'{at}.conv1', f'{at}.bn2', width, 3, stride)
            y = w.conv(F.relu(y), f'{at}.conv2', width, 3)
            if x.size(1) != width:
                x = w.conv(before, f'{at}.convShortcut', width, 1, stride)
            x = x + y
    return w.linear(F.relu(w.norm(x, 'bn1')), 'fc')


def vgg(w, x, convs):
    for stage, width in enumerate((64, 128, 256, 512, 512)):
        for index in range(convs):
            at = f'block{stage}'
            names = f'{at}.{3 * index}', f'{at}.{3 * index + 1}'
            x = F.relu(w.conv_norm(x, *names, width, 3, bias=True))
        if stage < 3:
            x = F.max_pool2d(x, 2)
    return w.linear(x, 'classifier')


def mobilenet_v2(w, x):
    x = F.relu(w.conv_norm(x, 'conv1.0', 'conv1.1', 16, 3, 2))
    counts, strides = (1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1)
    for group, width in enumerate((8, 12, 16, 32, 48, 80, 160)):
        for block in range(counts[group]):
            at = f'blocks.{group}.{block}.conv'
            hidden = x.size(1) * (6 if group else 1)
            stride = strides[group] if block == 0 else 1
            y = F.relu(w.conv_norm(x, f'{at}.0', f'{at}.1', hidden))
            y = w.conv_norm(y, f'{at}.3', f'{at}.4', hidden, 3, stride, groups=hidden)
            y = w.conv_norm(F.relu(y), f'{at}.6', f'{at}.7', width)
            x = x + y if x.shape == y.shape else y
    return w.linear(F.relu(w.conv_norm(x, 'conv2.0', 'conv2.1', 1280)), 'classifier.0')


def shuffle(x, groups):
    order = torch.arange(x.size(1)).view(groups, -1).T.flatten()
    return x[:, order]


def shufflenet_v1(w, x):
    x = F.relu(w.conv_norm(x, 'conv1', 'bn1', 24))
    for stage, (width, count) in enumerate(((240, 4), (480, 8), (960, 4)), 1):
        for unit in range(count):
            at, stride = f'layer{stage}.{unit}', 1 if unit else 2
            groups = 3 if x.size(1) > 24 else 1
            out = width if unit else width - x.size(1)
            mid = out // 4
            names = [(f'{at}.conv{n}', f'{at}.bn{n}') for n in (1, 2, 3)]
            y = shuffle(F.relu(w.conv_norm(x, *names[0], mid, groups=groups)), groups)
            y = F.relu(w.conv_norm(y, *names[1], mid, 3, stride, groups=mid))
            y = w.conv_norm(y, *names[2], out, groups=3)
            if unit:
                x = F.relu(x + y)
            else:
                x = F.relu(torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1))
    return w.linear(x, 'linear')


def shufflenet_v2(w, x):
    x = F.relu(w.conv_norm(x, 'conv1', 'bn1', 24))
    for stage, (width, count) in enumerate(((116, 4), (232, 8), (464, 4)), 1):
        half = width // 2
        for unit in range(count):
            at, first = f'layer{stage}.{unit}', 1 if unit else 3
            names = [(f'{at}.conv{n}', f'{at}.bn{n}') for n in (1, 2, 3, 4, 5)]
            stride = 1 if unit else 2
            if unit:
                left, right = x[:, :half], x[:, half:]
            else:
                left = w.conv_norm(x, *names[0], x.size(1), 3, 2, groups=x.size(1))
                left, right = F.relu(w.conv_norm(left, *names[1], half)), x
            right = F.relu(w.conv_norm(right, *names[first - 1], half))
            right = w.conv_norm(right, *names[first], half, 3, stride, groups=half)
            right = F.relu(w.conv_norm(right, *names[first + 1], half))
            x = shuffle(torch.cat([left, right], 1), 2)
    return w.linear(F.relu(w.conv_norm(x, 'conv2', 'bn2', 1024)), 'linear')


REFERENCES = {
    'resnet14': lambda w, x: resnet(w, x, 14, (16, 16, 32, 64)),
    'resnet8x4': lambda w, x: resnet(w, x, 8, (32, 64, 128, 256)),
    'wrn_16_1': lambda w, x: wide_resnet(w, x, 16, 1),
    'wrn_16_2': lambda w, x: wide_resnet(w, x, 16, 2),
    'vgg8': lambda w, x: vgg(w, x, 1),
    'vgg13': lambda w, x: vgg(w, x, 2),
    'ResNet50': bottleneck_resnet,
    'MobileNetV2': mobilenet_v2,
    'ShuffleV1': shufflenet_v1,
    'ShuffleV2': shufflenet_v2,
}


def reference(arch):
    """Return images, the logits of them in the original layout, and its weights."""
    torch.manual_seed(0)
    weights, images = Reference(), torch.randn(2, 3, 32, 32)
    return images, REFERENCES[arch](weights, images), weights


def classifier(arch):
    backbone = ARCHS[arch].backbone
    kind = backbone['type'].split('.')[-1]
    width = {'CIFARVGG': 512, 'CIFARBottleneckResNet': 2048, 'CIFARMobileNetV2': 1280}
    width.update(CIFARShuffleNetV1=960, CIFARShuffleNetV2=1024)
    width.update(CIFARResNet=backbone.get('widths', [64])[-1])
    width.update(CIFARWideResNet=64 * backbone.get('widen_factor', 1))
    model = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=100, in_channels=width[kind]),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(model).eval()


@pytest.fixture
def convert(monkeypatch):
    """The tool's main, called with a command line."""
    spec = importlib.util.spec_from_file_location('convert_cifar', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        tool.main()

    return call


def mdistiller_file(weights):
    return dict(
        epoch=240,
        model=weights,
        best_acc=np.float64(72.5),
        optimizer=dict(state={}, param_groups=[dict(lr=0.05)]),
    )


def assert_same_logits(arch, path, images, logits):
    model = classifier(arch)
    load_checkpoint(model, str(path), strict=True)
    with torch.no_grad():
        actual = model.head(model.extract_feat(images))
    assert logits.std() > 0.1
    torch.testing.assert_close(actual, logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('arch', REFERENCES)
def test_teachers_of_mdistiller_give_the_same_logits(arch, convert, tmp_path):
    images, logits, weights = reference(arch)
    torch.save(mdistiller_file(dict(weights)), tmp_path / 'ckpt_epoch_240.pth')
    convert(tmp_path / 'ckpt_epoch_240.pth', tmp_path / 'new/it.pth', '--arch', arch)
    assert_same_logits(arch, tmp_path / 'new/it.pth', images, logits)


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('nested', [False, True])
def test_plain_state_dicts_give_the_same_logits(prefix, nested, convert, tmp_path):
    images, logits, weights = reference('resnet14')
    content = {prefix + key: value for key, value in weights.items()}
    content = dict(state_dict=content) if nested else content
    torch.save(content, tmp_path / 'plain.pt')
    arguments = [tmp_path / 'plain.pt', tmp_path / 'it.pth', '--arch', 'resnet14']
    convert(*arguments, '--layout', 'plain')
    assert_same_logits('resnet14', tmp_path / 'it.pth', images, logits)


def test_classes_are_cifars(convert, tmp_path):
    _, _, weights = reference('resnet14')
    torch.save(dict(weights), tmp_path / 'plain.pt')
    convert(tmp_path / 'plain.pt', tmp_path / 'it.pth', '--arch', 'resnet14')
    meta = torch.load(tmp_path / 'it.pth', weights_only=True)['meta']
    classes = meta['dataset_meta']['classes']
    assert (len(classes), classes[0], classes[99]) == (100, 'apple', 'worm')
    weights['fc.weight'], weights['fc.bias'] = torch.zeros(7, 64), torch.zeros(7)
    torch.save(dict(weights), tmp_path / 'plain.pt')
    arguments = [tmp_path / 'plain.pt', tmp_path / 'it.pth', '--arch', 'resnet14']
    convert(*arguments, '--num-classes', 7)
    assert torch.load(tmp_path / 'it.pth', weights_only=True)['meta'] == {}


def test_weights_from_before_batches_were_counted():
    _, _, weights = reference('resnet14')
    old = {k: v for k, v in weights.items() if not k.endswith('num_batches_tracked')}
    new = convert_state_dict(old, 'resnet14')
    assert new['backbone.stem.1.num_batches_tracked'] == 0
    assert len(new) == len(weights)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(extra=torch.zeros(1)), "no resnet14 .* 1 weights differ: 'extra' has no"),
        ({'bn1.weight': None}, "nothing becomes 'backbone.stem.1.weight'; choose"),
        (
            {'fc.weight': torch.zeros(10, 64), 'fc.bias': torch.zeros(10)},
            r"2 weights differ: 'fc.weight' is \(10, 64\), not \(100, 64\)",
        ),
    ],
    ids=['left over', 'missing', 'shape'],
)
def test_every_weight_has_to_fit(change, message):
    _, _, weights = reference('resnet14')
    weights.update(change)
    weights = {key: value for key, value in weights.items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        convert_state_dict(weights, 'resnet14')


@pytest.mark.parametrize('layout', ['auto', 'mdistiller', 'plain'])
def test_a_file_without_weights(layout, convert, tmp_path):
    torch.save(dict(epoch=3, accuracy=0.5), tmp_path / 'log.pth')
    arguments = [tmp_path / 'log.pth', tmp_path / 'it.pth', '--arch', 'vgg8']
    with pytest.raises(CheckpointError, match="no state dict .* 'epoch', 'accuracy'"):
        convert(*arguments, '--layout', layout)
    assert not (tmp_path / 'it.pth').exists()


def test_a_file_that_holds_no_dict(convert, tmp_path):
    torch.save([torch.zeros(1)], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='holds a list'):
        convert(tmp_path / 'list.pth', tmp_path / 'it.pth', '--arch', 'vgg8')


class Payload:
    """Unpickled by ``pickle``, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_file_is_not_run(convert, tmp_path):
    content = dict(model={}, opt=Payload(tmp_path / 'ran'))
    torch.save(content, tmp_path / 'last.pth')
    with pytest.raises(CheckpointError, match='was not executed'):
        convert(tmp_path / 'last.pth', tmp_path / 'it.pth', '--arch', 'vgg8')
    assert not (tmp_path / 'ran').exists()
