"""Cuts: who trains what, with the same values, exact gradients and less memory."""

import weakref

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.utils import digit_version
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses import lakd_loss
from mmkd.models.losses.parts import local_learning
from mmkd.models.losses.parts.local_learning import LocalLearning, detached
from mmkd.testing import classification_batch, toy_classifier

STAGES = [f'backbone.layer{number}' for number in (1, 2, 3)]
AT = dict(loss_at=dict(type='ATLoss', on=STAGES))
N = 6  # of no weight's shape
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
#: What each level's loss trains of the student, by its modules.
PARTS = {
    'at the stages': (
        STAGES,
        [{'stem', 'layer1'}, {'layer2'}, {'layer3'}],
    ),
    'inside of stages': (
        ['backbone.layer2.0', 'backbone.layer3.preact'],
        [{'stem', 'layer1', 'layer2.0'}, {'layer2.1', 'layer3'}],
    ),
    'one part': (['backbone.layer2'], [{'stem', 'layer1', 'layer2'}]),
}


class LateLearning(LocalLearning):
    """Ends the gradient as usual; the parts learn in the one backward of all."""

    def _learn(self, path):
        pass


def network(depth, widths):
    return dict(
        type='mmpretrain.ImageClassifier',
        _scope_='mmpretrain',
        backbone=dict(type='mmkd.CIFARResNet', depth=depth, widths=widths),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead', in_channels=widths[-1], num_classes=10, topk=(1,)
        ),
        data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3),
    )


def distiller(on=STAGES, extra=(), depth=8, teacher_widths=(4, 5, 12, 24), **lakd):
    torch.manual_seed(0)
    losses = dict(loss_lakd=dict(type='LAKDLoss', on=on, **lakd), **dict(extra))
    return Distiller(
        network(depth, (4, 4, 8, 12)),
        losses,
        teacher=dict(config=network(14, teacher_widths), allow_untrained=True),
        probe_size=(32, 32),
    )


def batch(seed=0):
    return classification_batch(n=N, seed=seed)


def losses_of(model, dtype=torch.float32):
    data = model.data_preprocessor(batch(), True)
    return model.to(dtype)(data['inputs'].to(dtype), data['data_samples'], mode='loss')


def level_losses(model):
    """What a step logs, and the loss of each level, with its graph."""
    loss = model.distill['loss_lakd'].loss
    part, levels = loss.part, {}

    def keep(level, *sides):
        levels[level] = part(level, *sides)
        return levels[level]

    loss.part = keep
    # Values whose gradient is known take the place of those that had a graph.
    loss.register_forward_pre_hook(lambda *args: levels.update(loss._learned))
    return losses_of(model), levels


def trained_by(value, model):
    """Names of the parameters that a value reaches, and of those that it moves."""
    named = dict(model.named_parameters())
    gradients = torch.autograd.grad(
        value, list(named.values()), retain_graph=True, allow_unused=True
    )
    reached = {
        name: gradient
        for name, gradient in zip(named, gradients)
        if gradient is not None
    }
    return set(reached), {name for name, gradient in reached.items() if gradient.any()}


def inside(model, modules):
    starts = tuple(f'{module}.' for module in modules)
    return {name for name, _ in model.named_parameters() if name.startswith(starts)}


def use(monkeypatch, kind):
    monkeypatch.setattr(lakd_loss, 'LocalLearning', kind)


@pytest.mark.parametrize('kind', [LocalLearning, LateLearning])
@pytest.mark.parametrize('case', PARTS)
def test_a_level_trains_its_part_and_nothing_else(case, kind, monkeypatch):
    use(monkeypatch, kind)
    on, parts = PARTS[case]
    model = distiller(on, depth=14)
    losses, levels = level_losses(model)
    assert sorted(levels) == list(range(len(parts)))
    for level, modules in enumerate(parts):
        own = inside(model, [f'student.backbone.{name}' for name in modules])
        own |= inside(model, [f'distill.loss_lakd.loss.adapters.{level}'])
        reached, moved = trained_by(levels[level], model)
        assert reached == moved == own
    behind = {'student.head', 'student.backbone.layer3'}
    if case == 'inside of stages':
        behind.add('student.backbone.layer2.1')
    if case == 'one part':
        behind = {'student'}
    reached, moved = trained_by(losses['loss_student'], model)
    assert reached == moved == inside(model, behind)


def after_a_step(model):
    """Logits, log and buffers of one training step."""
    seen = {}
    model.student.head.fc.register_forward_hook(
        lambda module, args, output: seen.update(logits=output.detach())
    )
    log = model.train_step(batch(), build_optim_wrapper(model, SGD))
    return dict(seen, **log, **dict(model.named_buffers()))


@pytest.mark.parametrize('on', [STAGES, ['backbone.layer2.0', 'backbone.layer3']])
def test_no_value_of_the_forward_pass_changes(on):
    model, uncut = distiller(on, depth=14), distiller(on, depth=14)
    uncut.distill['loss_lakd'].loss.cuts = ()
    cut, whole = after_a_step(model), after_a_step(uncut)
    assert cut.keys() == whole.keys() and 'loss_student' in cut
    assert all(torch.equal(cut[key], whole[key]) for key in cut)
    # The cuts were there: the first weights took another step.
    weights = [trained.student.backbone.stem[0].weight for trained in (model, uncut)]
    assert not torch.equal(*weights)


class Island(nn.Linear):
    """A linear layer that keeps its precision under autocast."""

    def forward(self, maps):
        with torch.autocast('cpu', enabled=False):
            return super().forward(maps.float().transpose(1, -1)).transpose(1, -1)


@pytest.mark.parametrize('half', [False, True])
@pytest.mark.parametrize('counts', [1, 2])
def test_parts_that_learn_early_take_the_very_same_step(counts, half, monkeypatch):
    after = []
    for kind in (LocalLearning, LateLearning):
        use(monkeypatch, kind)
        model = distiller()
        torch.manual_seed(0)
        model.student.backbone.layer1.preact = Island(4, 4)
        wrapper = build_optim_wrapper(model, dict(SGD, accumulative_counts=counts))
        start = [parameter.clone() for parameter in model.parameters()]
        for seed in range(counts):
            data = model.data_preprocessor(batch(seed), True)
            # As AmpOptimWrapper, which asks for a GPU: no backward under autocast.
            amp = torch.autocast('cpu', torch.bfloat16, enabled=half)
            with wrapper.optim_context(model), amp:
                losses = model(data['inputs'], data['data_samples'], mode='loss')
            wrapper.update_params(model.parse_losses(losses)[0])
        after.append(list(model.parameters()))
    assert not any(map(torch.equal, start, after[0]))
    assert all(map(torch.equal, *after))


#: What the cross-entropy trains, by the modules that are cut behind.
BEHIND = {
    'none': ([], {'student'}),
    'the second': (STAGES[1:2], {'student.backbone.layer3', 'student.head'}),
    'the last as well': (STAGES, {'student.head'}),
}


@pytest.mark.parametrize('case', BEHIND)
def test_cuts_as_asked_for(case, monkeypatch):
    paths, behind = BEHIND[case]
    gradients, values = [], []
    for kind in (LocalLearning, LateLearning):
        use(monkeypatch, kind)
        model = distiller(cuts=paths)
        losses = losses_of(model, torch.float64)
        reached, moved = trained_by(losses['loss_student'], model)
        assert reached == moved == inside(model, behind)
        values.append([losses['attention_lakd'], losses['local_lakd']])
        assert torch.allclose(sum(values[-1]), losses['loss_lakd'], rtol=1e-12)
        losses['loss_lakd'].backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(map(torch.equal, *values))
    for early, late in zip(*gradients):
        torch.testing.assert_close(early, late, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize('paths', [['backbone.stem'], 'backbone.layer1'])
def test_cuts_at_what_is_not_compared_are_refused(paths):
    with pytest.raises(ConfigError, match=r'^loss_lakd \(.*cuts must be .* in on='):
        distiller(cuts=paths)


OTHERS = {
    'alone': {},
    'beside what taps all stages': AT,
    'beside what taps the first': dict(loss_at=dict(AT['loss_at'], on=STAGES[0])),
    'beside what taps the last': dict(loss_at=dict(AT['loss_at'], on=STAGES[2])),
    'beside another that cuts': dict(loss_b=dict(type='LAKDLoss', on=STAGES[1:])),
}


@pytest.mark.parametrize('weight', [1.0, 0.3])
@pytest.mark.parametrize('others', OTHERS)
def test_gradients_add_up_as_in_one_backward(others, weight, monkeypatch):
    gradients = []
    for kind in (LocalLearning, LateLearning):
        use(monkeypatch, kind)
        model = distiller(extra=OTHERS[others], weight=weight)
        losses = losses_of(model, torch.float64)
        model.parse_losses(losses)[0].backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for early, late in zip(*gradients):
        torch.testing.assert_close(early, late, rtol=1e-9, atol=1e-13)


def maps_kept(model):
    """How many maps are kept for backward when the second stage begins."""
    kept, counts = weakref.WeakSet(), []

    class Kept:
        def __init__(self, tensor):
            self.tensor = tensor
            kept.add(self)

    def count(module, args):
        alive = [held.tensor for held in kept]
        counts.append(sum(tensor.dim() == 4 and len(tensor) == N for tensor in alive))

    model.student.backbone.layer2.register_forward_pre_hook(count)
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda held: held.tensor):
        losses = losses_of(model)
    model.parse_losses(losses)[0].backward()
    return counts[-1]


def test_activations_are_freed_before_the_next_part(monkeypatch):
    assert maps_kept(distiller()) == 0
    assert maps_kept(distiller(extra=OTHERS['beside what taps the last'])) == 0
    # Of the stem and the first stage: three convolutions and what follows them.
    assert maps_kept(distiller(extra=AT)) > 6
    use(monkeypatch, LateLearning)
    assert maps_kept(distiller()) > 6


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.4'),
    reason='older torch has no float16 autocast on a CPU',
)
def test_small_gradients_survive_half_precision(monkeypatch):
    def error(scale):
        monkeypatch.setattr(local_learning, 'SCALE', scale)
        gradients = []
        for half in (True, False):
            model = distiller(attention_weight=0, local_weight=1e-3)
            with torch.autocast('cpu', torch.float16, enabled=half):
                losses = losses_of(model)
            losses['loss_lakd'].backward()
            gradients.append(model.student.backbone.stem[0].weight.grad)
        actual, true = gradients
        return ((actual - true).norm() / true.norm()).item()

    assert error(local_learning.SCALE) < 0.02
    assert error(1.0) > 0.2


class TestWhereNothingIsCut:
    def test_after_the_end_of_a_schedule(self):
        model = distiller(weight=dict(value=1.0, stop=2, unit='iter'))
        data = model.data_preprocessor(batch(), True)
        data = data['inputs'], data['data_samples']
        model.student(*data, mode='loss')['loss'].backward()
        weight = model.student.backbone.stem[0].weight
        plain, weight.grad = weight.grad, None
        for iteration, is_cut in enumerate([True, True, False, False]):
            MessageHub.get_current_instance().update_info('iter', iteration)
            model.zero_grad()
            losses = model(*data, mode='loss')
            model.parse_losses(losses)[0].backward()
            assert torch.equal(weight.grad, plain) != is_cut
            adapters = [parameter.grad for parameter in model.distill.parameters()]
            assert len(adapters) == 6
            assert all(grad is not None and grad.any() == is_cut for grad in adapters)

    def test_in_prediction(self, monkeypatch):
        model = distiller().eval()
        data = model.data_preprocessor(batch())

        class Forbidden(LocalLearning):
            def __enter__(self):
                raise AssertionError

        use(monkeypatch, Forbidden)
        predicted = model(data['inputs'], data['data_samples'], mode='predict')
        expected = model.student(data['inputs'], data['data_samples'], mode='predict')
        for sample, reference in zip(predicted, expected):
            assert torch.equal(sample.pred_score, reference.pred_score)
        # Nor in a gradient that somebody asks of the logits.
        model(data['inputs'], mode='tensor')[0].sum().backward()
        assert model.student.backbone.stem[0].weight.grad.any()

    def test_after_a_step(self):
        model = distiller()
        before = [len(module._forward_hooks) for module in model.modules()]
        losses_of(model)
        assert [len(module._forward_hooks) for module in model.modules()] == before


def test_nothing_is_learned_where_gradients_are_off():
    model, other = distiller(), distiller()
    with torch.no_grad():
        losses = losses_of(model)
    expected = losses_of(other)
    assert not losses['loss_lakd'].requires_grad
    assert torch.equal(losses['loss_lakd'], expected['loss_lakd'])


@pytest.mark.parametrize('first_width', [4, 5], ids=['no adapter', 'an adapter'])
def test_frozen_first_stages(first_width):
    model = distiller(teacher_widths=(4, first_width, 12, 24))
    expected = losses_of(model)['loss_lakd'].detach()
    frozen = [model.student.backbone.stem, model.student.backbone.layer1]
    for module in frozen:
        module.requires_grad_(False)
    losses = losses_of(model)
    assert torch.equal(losses['loss_lakd'].detach(), expected)
    model.parse_losses(losses)[0].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize(
    'on, later, path',
    [
        (STAGES[::-1], STAGES[0], STAGES[1]),
        ([STAGES[1], STAGES[0]], STAGES[0], STAGES[1]),
        ([STAGES[0], STAGES[0], STAGES[2]], STAGES[0], STAGES[0]),
    ],
)
def test_modules_out_of_order_are_refused(on, later, path):
    with pytest.raises(ConfigError, match=f"loss_lakd .*: .*'{later}' after '{path}'"):
        losses_of(distiller(on))


def test_stages_that_a_neck_takes_as_well():
    """Of a detector, or as here of a backbone that puts out all of its stages."""
    student = toy_classifier()
    student.backbone.out_indices = (0, 1, 2, 3)
    stages = [f'backbone.layer{number}' for number in (1, 2, 3, 4)]
    model = Distiller(
        student,
        dict(loss_lakd=dict(type='LAKDLoss', on=stages)),
        teacher=dict(config=toy_classifier(width=12), allow_untrained=True),
        probe_size=(32, 32),
    )
    seen = {}
    model.student.backbone.register_forward_hook(
        lambda module, args, output: seen.update(maps=output)
    )
    losses_of(model)
    assert [maps.requires_grad for maps in seen['maps']] == [False] * 3 + [True]


def test_detached_keeps_containers_and_values():
    leaf = torch.ones(2, requires_grad=True)
    value = dict(a=(leaf * 2, (4, 5)), b=[leaf * 3], c='name')
    result = detached(value)
    assert result['a'][1] == (4, 5) and result['c'] == 'name'
    assert isinstance(result['a'], tuple) and isinstance(result['b'], list)
    pairs = (result['a'][0], value['a'][0]), (result['b'][0], value['b'][0])
    for tensor, original in pairs:
        assert torch.equal(tensor, original) and not tensor.requires_grad
