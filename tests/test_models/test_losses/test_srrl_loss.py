"""SRRL against a slow one, and what must hold of it and of the teacher in it."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.srrl_loss import SRRLLoss
from mmkd.testing import classification_batch, toy_classifier

CONNECTOR = dict(type='ConvNormAdapter', relu=True)


def draw(*shape, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=dtype)


class Head(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.fc = nn.Linear(6, 4, dtype=dtype)

    def forward(self, features):
        return self.fc(features[-1])


class Neck(nn.Module):
    def forward(self, features):
        return tuple(maps.mean(dim=(2, 3)) for maps in features)


def make_teacher(dtype=torch.float64):
    torch.manual_seed(0)
    network = nn.Module()
    network.neck, network.head = Neck(), Head(dtype)
    return SimpleNamespace(model=network.requires_grad_(False).eval())


def build(
    student_shape=(2, 6, 3, 3), teacher_shape=(2, 6, 3, 3), teacher=None, **kwargs
):
    loss = SRRLLoss(**kwargs)
    shapes = [
        [shape] if isinstance(shape, tuple) else shape
        for shape in (student_shape, teacher_shape)
    ]
    teacher = teacher or make_teacher()
    loss.fit(LossInputs('loss_x', *shapes, ['a'], ['b'], teacher))
    return loss


def call(loss, student, teacher):
    return loss([student], [teacher], [None])


@pytest.mark.parametrize('weights', [(1.0, 1.0), (2.0, 0.0), (0.0, 3.0)])
def test_equals_a_slow_one_on_maps_of_any_sizes(weights):
    teacher = make_teacher()
    loss = build(
        teacher=teacher, feature_weight=weights[0], regression_weight=weights[1]
    )
    student_maps = draw(5, 6, 2, 3).requires_grad_()
    teacher_maps = draw(5, 6, 4, 4, seed=1)
    value = call(loss, student_maps, teacher_maps)
    classifier = teacher.model.head.fc.weight.tolist()
    feature_part = regression_part = 0
    for n in range(5):
        gaps = [student_maps[n, c].mean() - teacher_maps[n, c].mean() for c in range(6)]
        feature_part += sum(gap**2 for gap in gaps) / 30
        for row in classifier:
            # The bias is the same on both sides.
            regression_part += sum(w * gap for w, gap in zip(row, gaps)) ** 2 / 20
    expected = weights[0] * feature_part + weights[1] * regression_part
    assert value.item() == pytest.approx(expected.item(), rel=1e-10)
    gradients = [torch.autograd.grad(v, student_maps)[0] for v in (value, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-14)


def test_zero_where_both_are_equal():
    teacher = draw(5, 6, 4, 4)
    student = teacher.clone().requires_grad_()
    value = call(build(), student, teacher)
    value.backward()
    assert value == 0 and not student.grad.any()


def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples():
    loss, student, teacher = build(), draw(5, 6, 4, 4), draw(5, 6, 4, 4, seed=1)
    once = call(loss, student, teacher).item()
    for change in (lambda side: torch.cat([side, side]), lambda side: side.flip(0)):
        changed = call(loss, change(student), change(teacher)).item()
        assert changed == pytest.approx(once, rel=1e-9)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_for_huge_features_and_computed_in_float32(dtype):
    loss = build(teacher=make_teacher(torch.float32))
    student, teacher = draw(5, 6, 4, 4), draw(5, 6, 4, 4, seed=1)
    student = (student.clamp(-3, 3) * 1e4).to(dtype).requires_grad_()
    teacher = (teacher.clamp(-3, 3) * 1e4).to(dtype)
    with torch.autocast('cpu', torch.bfloat16):
        value = call(loss, student, teacher)
    value.backward()
    assert value == call(loss, student.float(), teacher.float())
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


class TestWrongInputs:
    def test_a_teacher_that_does_not_classify(self):
        detector = SimpleNamespace(model=nn.Sequential())
        with pytest.raises(ConfigError, match='the teacher .Sequential. has no head'):
            build(teacher=detector)

    def test_several_levels(self):
        shapes = [(2, 6, 3, 3)] * 2
        with pytest.raises(ConfigError, match='one tensor, but got 2 levels'):
            build(shapes, shapes)

    def test_other_channels_without_an_adapter(self):
        with pytest.raises(
            ConfigError, match='8 channels and the teacher 6 .*relu=True'
        ):
            build(student_shape=(2, 8, 3, 3))

    @pytest.mark.parametrize('shape', [(2, 5, 3, 3), (2, 6)])
    def test_what_the_classifier_cannot_take(self, shape):
        with pytest.raises(ConfigError, match='neck and head cannot take tensors'):
            build(shape, shape)

    @pytest.mark.parametrize('name', ['feature_weight', 'regression_weight'])
    @pytest.mark.parametrize('value', [-1, '1'])
    def test_bad_arguments(self, name, value):
        with pytest.raises(ConfigError, match=f'SRRLLoss: {name} must be'):
            SRRLLoss(**{name: value})


def distiller(losses=('srrl',), on='backbone', adapter=CONNECTOR, **inference):
    torch.manual_seed(0)
    known = dict(
        srrl=dict(type='SRRLLoss', on=dict(student=on, adapter=adapter)),
        kd=dict(type='KDLoss', on='logits'),
    )
    teacher = dict(
        config=toy_classifier(width=12), allow_untrained=True, inference=inference
    )
    losses = {f'loss_{name}': known[name] for name in losses}
    return Distiller(toy_classifier(), losses, teacher=teacher).train()


def compute(model):
    data = model.data_preprocessor(copy.deepcopy(classification_batch()), True)
    return model(**data, mode='loss')


class TestInADistiller:
    def test_the_student_learns_through_a_teacher_that_does_not(self):
        model = distiller()
        teacher = model.teachers['teacher'].model
        before = copy.deepcopy(teacher.state_dict())
        compute(model)['loss_srrl'].backward()
        assert model.student.backbone.conv1.weight.grad.any()
        assert model.distill['loss_srrl'].adapters[0][0].weight.grad.any()
        assert all(parameter.grad is None for parameter in teacher.parameters())
        optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
        model.train_step(classification_batch(), optim_wrapper)
        after = teacher.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)

    def test_the_teacher_is_outside_of_parameters_checkpoint_and_copies(self):
        model = distiller()
        assert not [*model.distill['loss_srrl'].loss.parameters()]
        assert not any('loss_srrl.loss' in key for key in model.state_dict())
        twin = copy.deepcopy(model)
        model.teachers['teacher'].model.head.fc.bias.data.zero_()
        model.teachers['teacher'].model.head.fc.weight.data.zero_()
        assert torch.equal(compute(model)['loss_srrl'], compute(twin)['loss_srrl'])

    def test_its_logits_are_the_teachers_own(self):
        model = distiller(('srrl', 'kd'))
        logits = []
        loss = model.distill['loss_kd'].loss
        loss.register_forward_pre_hook(lambda _, args: logits.append(args[1][0]))
        srrl = model.distill['loss_srrl'].loss
        srrl.register_forward_pre_hook(
            lambda _, args: logits.append(srrl._classify(args[1][0])[1])
        )
        compute(model)
        torch.testing.assert_close(logits[0], logits[1])

    def test_asking_the_teachers_classifier_is_recorded_by_no_tap(self):
        both, alone = distiller(('srrl', 'kd')), distiller(('kd',))
        assert torch.equal(compute(both)['loss_kd'], compute(alone)['loss_kd'])
        both = distiller(('kd', 'srrl'))
        for _ in range(2):
            losses = compute(both)
        assert losses['loss_srrl'] > 0

    @pytest.mark.parametrize(
        'inference', [dict(fold_bn=True, channels_last=True), dict(dtype='bfloat16')]
    )
    def test_whatever_form_the_teacher_has_taken(self, inference):
        plain = compute(distiller())['loss_srrl'].item()
        value = compute(distiller(**inference))['loss_srrl']
        value.backward()
        rel = 0.05 if 'dtype' in inference else 1e-4
        assert value.item() == pytest.approx(plain, rel=rel)

    def test_another_stage_is_refused(self):
        with pytest.raises(ConfigError, match='loss_srrl .* cannot take tensors'):
            distiller(on='backbone.layer2')
