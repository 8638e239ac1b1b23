"""The teacher's inference form: what it says stays."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

import mmkd.models.inference_form as inference_form
from mmkd.configs import load_config
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.inference_form import InferenceForm, fold_batch_norms
from mmkd.testing import classification_batch, shrink, toy_classifier

CIFAR = [
    dict(type='mmkd.CIFARResNet', depth=8),
    dict(type='mmkd.CIFARWideResNet', depth=10, widen_factor=1),
    dict(type='mmkd.CIFARVGG', depth=8),
    dict(type='mmkd.CIFARMobileNetV2'),
    dict(type='mmkd.CIFARShuffleNetV1'),
    dict(type='mmkd.CIFARShuffleNetV2'),
    dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8),
    dict(type='mmpretrain.DenseNet', arch='121'),
]


def lively(model):
    """Give batch norms statistics and scales as of a trained network."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator) / 2)
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(size, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(size, generator=generator) / 2)
    model.eval()
    return model


def norms(model):
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize('backbone', CIFAR, ids=lambda spec: spec['type'])
@torch.no_grad()
def test_folding_keeps_the_function(backbone):
    torch.manual_seed(0)
    model = lively(MODELS.build(backbone))
    images = torch.randn(2, 3, 32, 32)
    before, present = model(images)[-1], norms(model)
    folded = fold_batch_norms(model, lambda: model(images))
    assert folded > 0.4 * present and norms(model) == present - folded
    torch.testing.assert_close(model(images)[-1], before, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_names_next_to_each_other_are_not_folded():
    """A pre-activation network: its first convolution, its last batch norm."""

    class PreActivation(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(x).relu())

    model = lively(PreActivation())
    assert fold_batch_norms(model, lambda: model(torch.randn(1, 3, 8, 8))) == 0


@torch.no_grad()
def test_a_compared_convolution_is_left():
    model = lively(MODELS.build(CIFAR[0]))
    images = torch.randn(2, 3, 32, 32)
    names = {module: name for name, module in model.named_modules()}
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    outputs = []
    first.register_forward_hook(lambda module, args, output: outputs.append(output))
    fold_batch_norms(model, lambda: model(images), {names[first]})
    model(images)
    before, after = outputs
    assert torch.equal(before, after)
    assert norms(model) == 1


def test_folding_that_changes_the_network_is_refused():
    """A convolution whose output leaves torch's sight."""

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.conv(x)
            return (self.norm(x) + float(x.numpy().max()),)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = lively(Backbone())

        def extract_feat(self, images):
            return self.backbone(images)

    form = InferenceForm(fold_bn=True)
    with pytest.raises(ConfigError, match='fold_bn changes the features'):
        form.prepare(Model().eval(), torch.randn(1, 3, 8, 8), set())


def test_folding_needs_a_backbone():
    with pytest.raises(ConfigError, match='needs a model with a backbone'):
        InferenceForm(fold_bn=True).prepare(nn.Linear(2, 2), torch.zeros(1, 2), set())


def distiller(on='logits', loss='KDLoss', **inference):
    torch.manual_seed(0)
    teacher = dict(config=toy_classifier(width=12), allow_untrained=True)
    loss = dict(type=loss, on=on)
    model = Distiller(
        toy_classifier(), dict(loss_it=loss), teacher=dict(teacher, inference=inference)
    )
    return model


def value(model):
    data = model.data_preprocessor(classification_batch(8), True)
    torch.manual_seed(0)
    return model(**data, mode='loss')['loss_it'].item()


@pytest.mark.parametrize('on', ['logits', 'backbone.layer2', 'backbone.layer1.0.conv1'])
def test_exact_forms_leave_every_loss_as_it_is(on):
    loss = 'KDLoss' if on == 'logits' else 'FitNetLoss'
    plain = value(distiller(on, loss))
    model = distiller(on, loss, fold_bn=True, channels_last=True)
    assert norms(model.teachers['teacher'].model) <= 1
    weight = model.teachers['teacher'].model.backbone.layer2[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert value(model) == pytest.approx(plain, rel=1e-4)


def test_detector_teachers_fold_too():
    cfg = shrink('configs/coco/luminet_frcnn.py')
    cfg.model.teacher.inference = dict(fold_bn=True)
    model = MODELS.build(cfg.model)
    assert norms(model.teachers['teacher'].model) == 0


def test_student_starts_the_same_whatever_the_form():
    plain, fast = distiller(), distiller(fold_bn=True, channels_last=True)
    for expected, actual in zip(plain.parameters(), fast.parameters()):
        assert torch.equal(expected, actual)


def test_approximation_says_how_far_it_moved(monkeypatch):
    logged = []
    monkeypatch.setattr(
        'mmkd.models.teacher_pass.print_log', lambda text, **kwargs: logged.append(text)
    )
    exact, near = distiller(), distiller(dtype='bfloat16')
    assert value(near) == pytest.approx(value(exact), rel=0.05)
    assert value(near) != value(exact)
    assert len(logged) == 1 and 'torch.bfloat16' in logged[0] and 'loss_it' in logged[0]
    moved = float(logged[0].split(' by ')[1].split('%')[0])
    assert 0 < moved < 5
    data = near.data_preprocessor(classification_batch(8), True)['inputs']
    teacher = near.teachers['teacher'].model
    with torch.no_grad():
        true = teacher(data, mode='tensor')
        with torch.autocast('cpu', dtype=torch.bfloat16):
            rough = teacher(data, mode='tensor').float()
    expected = (rough - true).square().mean().sqrt() / true.std()
    assert moved == pytest.approx(100 * expected.item(), abs=0.01)


def test_unknown_precision_and_switch():
    with pytest.raises(ConfigError, match="dtype='int8'.*'bfloat16'"):
        distiller(dtype='int8')
    with pytest.raises(ConfigError, match='inference: .*fold_batchnorm'):
        distiller(fold_batchnorm=True)


def test_shipped_cifar_teachers_answer_in_exact_form():
    cfg = load_config('configs/cifar100/kd_resnet56_resnet20.py')
    assert cfg.model.teacher.inference == dict(fold_bn=True, channels_last=True)
    assert inference_form.InferenceForm(**cfg.model.teacher.inference).dtype is None
