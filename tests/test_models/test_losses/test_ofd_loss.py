"""OFD: its distance and margins against slow ones, and what must hold of them."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.ofd_loss import OFDLoss, expected_negative, ofd_loss
from mmkd.testing import classification_batch

SHAPES = [(2, 3, 4, 4), (2, 5, 2, 2)]
MARGIN = torch.tensor([-0.5, -1.5, -0.1], dtype=torch.float64)[:, None, None]


def draw(*shape, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=random, dtype=dtype)


def make_teacher():
    """Two stages, each ended by a batch norm; as LossInputs has its source."""
    torch.manual_seed(0)
    stages = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), nn.BatchNorm2d(5)]
    network = nn.ModuleDict(dict(layer1=stages[0], layer2=stages[1]))
    for norm in (network.layer1[1], network.layer2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return SimpleNamespace(model=network.requires_grad_(False))


def build(norms=('layer1.1', 'layer2'), student=SHAPES, teacher=SHAPES, taps=None):
    loss = OFDLoss(norms)
    taps = taps or ['layer1', 'layer2']
    loss.fit(LossInputs('loss_x', student, teacher, taps, taps, make_teacher()))
    return loss


class TestDistance:
    @pytest.mark.parametrize('size', [(4, 4), (8, 12)])
    def test_equals_a_slow_one(self, size):
        student = draw(3, 4, 4)[:2].requires_grad_()
        teacher = draw(3, *size, seed=1)
        value = ofd_loss(student, teacher, MARGIN)
        value.backward()
        rows, columns = (new // 4 for new in size)
        expected, gradient = 0, torch.zeros_like(student)
        for n in range(2):
            for c in range(3):
                for h in range(4):
                    for w in range(4):
                        cell = teacher[n, c, h * rows : (h + 1) * rows]
                        cell = cell[:, w * columns : (w + 1) * columns]
                        target = max(cell.mean().item(), MARGIN[c].item())
                        feature = student[n, c, h, w].item()
                        if feature > target or target > 0:
                            expected += (feature - target) ** 2 / 2
                            gradient[n, c, h, w] = feature - target
        assert value.item() == pytest.approx(expected, rel=1e-12)
        torch.testing.assert_close(student.grad, gradient, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize(
        'student_value, teacher_value, expected',
        [
            (-3.0, -0.2, 0),  # both below zero, the student further
            (-0.1, -0.2, 0.1**2),
            (-0.1, -5.0, 0.4**2),  # up to the margin only
            (-0.6, -5.0, 0),
            (-3.0, 1.0, 4.0**2),
            (3.0, 1.0, 2.0**2),
        ],
    )
    def test_below_zero_only_what_exceeds_the_teacher_counts(
        self, student_value, teacher_value, expected
    ):
        student, teacher = (
            torch.full((1, 1, 1, 1), side) for side in (student_value, teacher_value)
        )
        value = ofd_loss(student, teacher, torch.tensor(-0.5).view(1, 1, 1))
        assert value.item() == pytest.approx(expected, rel=1e-5)

    def test_zero_where_the_student_is_the_teacher_after_the_margin(self):
        teacher = draw(3, 4, 4)
        student = teacher.maximum(MARGIN).requires_grad_()
        value = ofd_loss(student, teacher, MARGIN)
        value.backward()
        assert value == 0 and not student.grad.any()


class TestMargin:
    @pytest.mark.parametrize('mean', [-4.0, -0.7, 0.0, 0.3, 2.0, 3.0])
    @pytest.mark.parametrize('std', [1.0, -1.0, 1.7])
    def test_equals_a_numeric_integral(self, mean, std):
        x = torch.linspace(mean - 40, 0, 400_001, dtype=torch.float64)
        density = (-((x - mean) / std).square() / 2).exp()
        expected = torch.trapezoid(x * density, x) / torch.trapezoid(density, x)
        margin = expected_negative(torch.tensor([mean]), torch.tensor([std]))
        assert margin.item() == pytest.approx(expected.item(), rel=1e-6)

    def test_rare_negatives_have_three_deviations(self):
        """One in a thousand is where a normal is 3.09 deviations above zero."""
        means, std = torch.tensor([3.08, 3.1, 50.0]) * 2, torch.full((3,), -2.0)
        common, *rare = expected_negative(means, std).tolist()
        assert rare == [-6, -6] and -0.7 < common < -0.5

    @pytest.mark.parametrize('mean, expected', [(-2.0, -2.0), (0.0, 0.0), (3.0, 0.0)])
    def test_finite_for_a_channel_that_is_constant(self, mean, expected):
        margin = expected_negative(torch.tensor([mean]), torch.zeros(1))
        assert margin.item() == pytest.approx(expected, abs=1e-9)


class TestLoss:
    def test_deeper_levels_count_twice_as_much(self):
        loss = build()
        student, teacher = ([draw(3, 4, 4, seed=n), draw(5, 2, 2)] for n in (0, 1))
        norms = make_teacher().model
        values = [
            ofd_loss(
                student_maps,
                teacher_maps,
                expected_negative(norm.bias, norm.weight)[:, None, None],
            )
            for student_maps, teacher_maps, norm in zip(
                student, teacher, [norms.layer1[1], norms.layer2]
            )
        ]
        value = loss(student, teacher, [None, None])
        expected = values[0].item() / 2 + values[1].item()
        assert value.item() == pytest.approx(expected, rel=1e-6)

    def test_by_default_the_compared_modules_are_the_norms(self):
        named, default = build(), build(None, taps=['layer1.1', 'layer2'])
        assert torch.equal(named.margin0, default.margin0)
        assert torch.equal(named.margin1, default.margin1)

    def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples(self):
        loss = build()
        student, teacher = ([draw(3, 4, 4, seed=n), draw(5, 2, 2)] for n in (0, 1))
        once = loss(student, teacher, [None, None]).item()
        for change in (lambda side: torch.cat([side, side]), lambda side: side.flip(0)):
            sides = ([*map(change, side)] for side in (student, teacher))
            changed = loss(*sides, [None, None])
            assert changed.item() == pytest.approx(once, rel=1e-9)

    @pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
    def test_finite_for_huge_features(self, dtype):
        student, teacher = (
            [maps.clamp(-3, 3).mul(1e4).to(dtype) for maps in (shallow, draw(5, 2, 2))]
            for shallow in (draw(3, 4, 4), -draw(3, 4, 4))
        )
        student[0].requires_grad_()
        value = build()(student, teacher, [None, None])
        value.backward()
        assert value.dtype == torch.float32
        assert value.isfinite() and student[0].grad.isfinite().all()


class TestWrongInputs:
    @pytest.mark.parametrize(
        'norms, sentence',
        [
            (['layer1', 'layer2'], "'layer1' is a Sequential, no batch norm"),
            (['layer1.0', 'layer2'], "'layer1.0' is a Conv2d, no batch norm"),
            (['layer1.2', 'layer2'], "no module 'layer1.2'; closest: layer1"),
            (['layer2', 'layer2'], "'layer2' has 5 channels and the map .* 3"),
            (['layer2'], '2 levels are compared; .* got 1'),
            (None, "'layer1' is a Sequential, no batch norm"),
        ],
    )
    def test_a_wrong_batch_norm(self, norms, sentence):
        with pytest.raises(ConfigError, match=sentence):
            build(norms)

    def test_other_channels_without_an_adapter(self):
        with pytest.raises(ConfigError, match="adapter=dict.type='ConvNormAdapter'"):
            build(student=[(2, 2, 4, 4), (2, 5, 2, 2)])

    def test_pooled_features(self):
        with pytest.raises(ConfigError, match=r'maps .* got shape \(2, 3\)'):
            build(student=[(2, 3), (2, 5)], teacher=[(2, 3), (2, 5)])

    @pytest.mark.parametrize('wrong', ['layer1.1', [1, 2], 3])
    def test_bad_arguments(self, wrong):
        with pytest.raises(ConfigError, match='OFDLoss: norms must be'):
            OFDLoss(wrong)


def classifier(width):
    widths = (4, width, width, 2 * width)
    return dict(
        type='ImageClassifier',
        backbone=dict(type='mmkd.CIFARResNet', depth=14, widths=widths),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=2 * width),
        data_preprocessor=dict(type='ClsDataPreprocessor'),
        _scope_='mmpretrain',
    )


def distiller(**inference):
    torch.manual_seed(0)
    stages = [f'backbone.layer{n}.preact' for n in (1, 2, 3)]
    loss = dict(
        type='OFDLoss',
        on=dict(student=stages, adapter=dict(type='ConvNormAdapter')),
        norms=[f'backbone.layer{n}.1.bn2' for n in (1, 2, 3)],
        weight=1e-3,
    )
    teacher = dict(config=classifier(6), allow_untrained=True, inference=inference)
    return Distiller(classifier(4), dict(loss_ofd=loss), teacher=teacher).train()


class TestInADistiller:
    def test_folding_the_teachers_batch_norms_changes_nothing(self):
        values = []
        for inference in {}, dict(fold_bn=True, channels_last=True):
            model = distiller(**inference)
            margin = model.distill['loss_ofd'].loss.margin2
            # A batch norm that was not trained: half a normal's mean.
            assert margin.flatten().tolist() == pytest.approx(
                [-math.sqrt(2 / math.pi)] * 12
            )
            optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
            batch = copy.deepcopy(classification_batch())
            values.append(model.train_step(batch, optim_wrapper)['loss_ofd'].item())
        assert values[0] > 0
        assert values[1] == pytest.approx(values[0], rel=1e-4)

    def test_margins_move_with_the_model_and_are_not_saved(self):
        model = distiller()
        assert not any('margin' in key for key in model.state_dict())
        assert model.double().distill['loss_ofd'].loss.margin0.dtype == torch.float64
