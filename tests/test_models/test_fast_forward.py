"""Compiled and captured networks: the same losses, taps and copies."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmkd.engine.hooks import AccelerateHook
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.fast_forward import CompiledForward, GraphedForward, speed_up
from mmkd.testing import classification_batch, toy_classifier, toy_detector

LOSSES = {
    'logits': dict(type='KDLoss', on='logits'),
    'a stage': dict(type='FitNetLoss', on='backbone.layer2'),
    'inside a stage': dict(type='FitNetLoss', on='backbone.layer2.0.conv1'),
    'neck': dict(type='FitNetLoss', on='neck'),
}


class Logger:
    def info(self, text):
        self.text = text


class Runner:
    """What the hook sees of MMEngine's."""

    def __init__(self, model):
        self.model, self.logger = model, Logger()


def distiller(*losses):
    torch.manual_seed(0)
    teacher = dict(config=toy_classifier(width=12), allow_untrained=True)
    losses = {f'loss_{i}': LOSSES[name] for i, name in enumerate(losses)}
    return Distiller(toy_classifier(), losses, teacher=teacher)


def accelerate(model, **kwargs):
    torch._dynamo.reset()
    runner = Runner(model)
    AccelerateHook(**kwargs).before_train(runner)
    return runner


def train(model, steps=3):
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9))
    logged = []
    for seed in range(steps):
        batch = classification_batch(8 if seed < 2 else 5, seed=seed)
        logged.append(model.train().train_step(batch, wrapper))
    return [{key: value.item() for key, value in row.items()} for row in logged]


# aot_eager compiles without a C compiler, which a user's machine may lack.
COMPILE = dict(compile=dict(backend='aot_eager'))


@pytest.mark.parametrize('losses', [('logits',), tuple(LOSSES)], ids=['one', 'all'])
@pytest.mark.parametrize('how', [{}, COMPILE], ids=['channels_last', 'compile'])
def test_trains_as_without(losses, how):
    plain, fast = distiller(*losses), distiller(*losses)
    accelerate(fast, **how)
    for expected, actual in zip(train(plain), train(fast)):
        assert actual == pytest.approx(expected, rel=1e-4)
    assert list(fast.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize('how', [{}, COMPILE], ids=['channels_last', 'compile'])
def test_trains_under_autocast_as_without(how):
    plain, fast = distiller(*LOSSES), distiller(*LOSSES)
    accelerate(fast, **how)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logs = train(plain), train(fast)
    assert logs[0] != train(distiller(*LOSSES)), 'autocast did nothing'
    for expected, actual in zip(*logs):
        assert actual == pytest.approx(expected, rel=0.03)


def test_what_runs_compiled_is_as_large_as_taps_allow():
    runner = accelerate(distiller('logits'), **COMPILE)
    assert isinstance(runner.model.student.backbone.forward, CompiledForward)
    runner = accelerate(distiller('inside a stage'), **COMPILE)
    backbone = runner.model.student.backbone
    assert not isinstance(backbone.forward, CompiledForward)
    assert isinstance(backbone.layer1.forward, CompiledForward)
    assert not isinstance(backbone.layer2.forward, CompiledForward)
    assert isinstance(backbone.layer2[0].conv1.forward, CompiledForward)
    assert 'backbone.layer1' in runner.logger.text


def test_a_copy_runs_its_own_weights():
    """EMA copies the student, and must not run the original."""
    model = distiller('logits')
    accelerate(model, **COMPILE)
    copied = copy.deepcopy(model).eval()
    images = torch.randn(2, 3, 32, 32)
    before = copied(images)
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.zero_()
    assert torch.equal(copied(images), before)
    assert not isinstance(copied.student.backbone.forward, CompiledForward)


def test_stock_model_and_second_call():
    from mmengine.registry import MODELS

    model = MODELS.build(toy_classifier())
    accelerate(model, **COMPILE)
    first = model.backbone.forward
    assert speed_up(model, (), CompiledForward) == ('backbone',)
    assert model.backbone.forward is first
    assert model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_wrong_switches():
    with pytest.raises(ConfigError, match='exclude each other'):
        AccelerateHook(compile=True, cuda_graph=True)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match='needs a GPU'):
            AccelerateHook(cuda_graph=True)
    detector = Distiller(
        toy_detector(),
        dict(loss_kd=dict(type='KDLoss', on='roi.logits')),
        teacher=dict(config=toy_detector(), allow_untrained=True),
    )
    with pytest.raises(ConfigError, match='is for classifiers'):
        accelerate(detector)


def test_graphs_leave_the_cpu_alone():
    model = distiller('logits')
    backbone = model.student.backbone
    backbone.forward = GraphedForward(backbone)
    expected = train(distiller('logits'))
    assert train(model) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason='CUDA graphs need a GPU')
@pytest.mark.parametrize('losses', [('logits',), tuple(LOSSES)], ids=['one', 'all'])
def test_graphs_train_as_without(losses):
    plain, fast = distiller(*losses).cuda(), distiller(*losses).cuda()
    accelerate(fast, channels_last=False, cuda_graph=True)
    batches = 8
    for expected, actual in zip(train(plain, batches), train(fast, batches)):
        assert actual == pytest.approx(expected, rel=2e-3)
    assert fast.student.backbone.forward._graphs
