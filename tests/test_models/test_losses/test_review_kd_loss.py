"""ReviewKD: its distance against the authors' figures, its fusion a slow one."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS

from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.review_kd_loss import ReviewKDLoss, hierarchical_context_loss
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)

#: Of the student and of the teacher, from shallow to deep; the last level is pooled.
STUDENT = [(4, 3, 6, 6), (4, 5, 3, 3), (4, 7, 3, 2), (4, 7)]
TEACHER = [(4, 6, 12, 12), (4, 8, 6, 5), (4, 9, 3, 2), (4, 9)]
STAGES = [f'backbone.layer{n}' for n in (1, 2, 3, 4)]


def draw(shapes, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]


def build(student=STUDENT, teacher=TEACHER, **kwargs):
    torch.manual_seed(0)
    loss = ReviewKDLoss(**kwargs)
    loss.fit(LossInputs('loss_x', list(student), list(teacher), ['a'], ['b'], None))
    return loss


def call(loss, student, teacher):
    return loss(student, teacher, [None] * len(student))


class TestHierarchicalContext:
    @pytest.mark.golden('hierarchical_context')
    def test_equals_the_authors_figures(self, golden):
        golden.check(hierarchical_context_loss(golden.student, golden.teacher))

    @pytest.mark.parametrize(
        'size', [(8, 8), (7, 11), (5, 3), (4, 4), (3, 2), (2, 5), (1, 1)]
    )
    def test_equals_a_slow_one_on_maps_of_any_size(self, size):
        student, teacher = draw([(2, 3, *size)] * 2)
        student.requires_grad_()
        value = hierarchical_context_loss(student, teacher)
        expected = self._slow(student, teacher)
        assert value.item() == pytest.approx(expected.item(), rel=1e-12)
        gradients = [torch.autograd.grad(v, student)[0] for v in (value, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)

    def _slow(self, student, teacher):
        height, width = student.shape[2:]
        grids = [(height, width)]
        grids += [(grid, grid) for grid in (4, 2, 1) if grid < height]
        value = weights = 0
        for level, (rows, columns) in enumerate(grids):
            total = 0
            for row in range(rows):
                top, bottom = self._bin(row, rows, height)
                for column in range(columns):
                    left, right = self._bin(column, columns, width)
                    cell = slice(None), slice(None), slice(top, bottom)
                    gap = (student - teacher)[(*cell, slice(left, right))]
                    total = total + gap.mean(dim=(2, 3)).square().sum()
            value = value + total / (6 * rows * columns) / 2**level
            weights += 1 / 2**level
        return value / weights

    def _bin(self, index, count, size):
        return index * size // count, math.ceil((index + 1) * size / count)

    def test_zero_where_both_are_equal(self):
        (teacher,) = draw([(2, 3, 8, 8)])
        student = teacher.clone().requires_grad_()
        value = hierarchical_context_loss(student, teacher)
        value.backward()
        assert value == 0 and not student.grad.any()


def slow_norm(maps, norm):
    mean = maps.mean(dim=(0, 2, 3), keepdim=True)
    variance = (maps - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    scale, shift = norm.weight[:, None, None], norm.bias[:, None, None]
    return (maps - mean) / (variance + norm.eps).sqrt() * scale + shift


def slow_resize(maps, size):
    rows, columns = (
        [math.floor(index * old / new) for index in range(new)]
        for old, new in zip(maps.shape[2:], size)
    )
    return maps[:, :, rows][:, :, :, columns]


def slow_loss(loss, students, teachers):
    """Level by level from the deepest, in training mode."""
    value = residual = 0
    for level in reversed(range(len(students))):
        fusion = loss.fusions[level]
        student, teacher = students[level], teachers[level]
        if student.dim() == 2:
            student, teacher = student[:, :, None, None], teacher[:, :, None, None]
        conv, norm = fusion.reduce
        mid = torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], student)
        mid = slow_norm(mid, norm)
        if level < len(students) - 1:
            residual = slow_resize(residual, mid.shape[2:])
            conv = fusion.attend[0]
            both = torch.cat([mid, residual], dim=1)
            gates = torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], both)
            gates = 1 / (1 + (-gates - conv.bias[:, None, None]).exp())
            mid = gates[:, :1] * mid + gates[:, 1:] * residual
        residual = slow_resize(mid, teacher.shape[2:])
        conv, norm = fusion.expand
        out = slow_norm(F.conv2d(residual, conv.weight, padding=1), norm)
        value = value + hierarchical_context_loss(out, teacher)
    return value


class TestFusion:
    def test_equals_a_slow_one(self):
        loss = build(mid_channels=5).double()
        student, teacher = draw(STUDENT), draw(TEACHER, seed=1)
        learned = [*map(torch.Tensor.requires_grad_, student), *loss.parameters()]
        value = call(loss, student, teacher)
        expected = slow_loss(loss, student, teacher)
        assert value.item() == pytest.approx(expected.item(), rel=1e-10)
        gradients = [torch.autograd.grad(v, learned) for v in (value, expected)]
        for gradient, reference in zip(*gradients):
            torch.testing.assert_close(gradient, reference, rtol=1e-8, atol=1e-12)

    def test_deep_levels_reach_the_shallow_and_not_the_other_way_round(self):
        loss = build(STUDENT[:3], TEACHER[:3]).double()
        student, teacher = draw(STUDENT[:3]), draw(TEACHER[:3], seed=1)
        before = loss.fuse(student, teacher)
        deeper = loss.fuse([*student[:2], student[2] + draw(STUDENT[2:3])[0]], teacher)
        assert not any(map(torch.equal, before, deeper))
        shallower = loss.fuse([student[0].square(), *student[1:]], teacher)
        assert not torch.equal(before[0], shallower[0])
        assert all(map(torch.equal, before[1:], shallower[1:]))

    @pytest.mark.parametrize(
        'given, made', [({}, 7), (dict(mid_channels=64), 7), (dict(mid_channels=5), 5)]
    )
    def test_is_no_wider_than_the_students_deepest_level(self, given, made):
        fusions = build(**given).fusions
        assert {fusion.reduce[0].out_channels for fusion in fusions} == {made}

    def test_sizes_are_those_of_the_step(self):
        shapes = [(2, 4, 8, 8), (2, 4, 4, 4)]
        loss = build(shapes, shapes).double()
        for height, width in ((8, 12), (13, 6)):
            shapes = [(2, 4, height, width), (2, 4, height // 2 + 1, width // 2)]
            student, teacher = draw(shapes), draw(shapes, seed=1)
            assert [maps.shape for maps in loss.fuse(student, teacher)] == shapes
            assert call(loss, student, teacher).isfinite()


class TestLoss:
    def test_one_level_has_nothing_to_attend_to(self):
        loss = build([(4, 3, 6, 6)], [(4, 5, 6, 6)]).double()
        assert loss.fusions[0].attend is None
        assert call(loss, draw([(4, 3, 6, 6)]), draw([(4, 5, 6, 6)])) > 0

    def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples(self):
        loss = build().double()
        student, teacher = draw(STUDENT), draw(TEACHER, seed=1)
        once = call(loss, student, teacher).item()
        for change in (lambda side: torch.cat([side, side]), lambda side: side.flip(0)):
            changed = call(loss, *([*map(change, side)] for side in (student, teacher)))
            assert changed.item() == pytest.approx(once, rel=1e-9)

    @pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
    def test_finite_for_huge_features_and_computed_in_float32(self, dtype):
        loss = build()
        student, teacher = (
            [maps.mul(1e4).to(dtype) for maps in side]
            for side in (draw(STUDENT), draw(TEACHER, seed=1))
        )
        learned = [*map(torch.Tensor.requires_grad_, student), *loss.parameters()]
        with torch.autocast('cpu', torch.bfloat16):
            value = call(loss, student, teacher)
        value.backward()
        assert value.dtype == torch.float32 and value.isfinite()
        assert all(tensor.grad.isfinite().all() for tensor in learned)

    def test_finite_for_features_that_are_all_zero(self):
        loss = build().double()
        student = [maps.zero_().requires_grad_() for maps in draw(STUDENT)]
        value = call(loss, student, draw(TEACHER))
        value.backward()
        assert value.isfinite() and student[0].grad.isfinite().all()

    def test_tokens_are_refused(self):
        with pytest.raises(ConfigError, match=r'loss_x: .* got shape \(2, 9, 4\)'):
            build([(2, 9, 4)], [(2, 4, 3, 3)])

    @pytest.mark.parametrize('wrong', [0, -1, 2.5, '64', True])
    def test_bad_arguments_are_refused_when_building(self, wrong):
        with pytest.raises(ConfigError, match='ReviewKDLoss: mid_channels must be'):
            ReviewKDLoss(mid_channels=wrong)


def distiller(student, teacher, on):
    torch.manual_seed(0)
    losses = dict(loss_review=dict(type='ReviewKDLoss', on=on, weight=5.0))
    teacher = dict(config=teacher, allow_untrained=True)
    return Distiller(student, losses, teacher=teacher).train()


def train(model, batch):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optim_wrapper = OptimWrapper(torch.optim.SGD(parameters, lr=0.01))
    return model.train_step(copy.deepcopy(batch), optim_wrapper)


class TestInADistiller:
    def test_what_it_learns_is_saved_apart_trained_and_dropped_by_the_export(self):
        stages = [*STAGES, 'neck']
        model = distiller(toy_classifier(), toy_classifier(width=12), stages)
        learned = dict(model.distill.named_parameters())
        # Two convolutions and two batch norms a level, attention at all but the last.
        assert len(learned) == 5 * 6 + 4 * 2
        before = {name: value.detach().clone() for name, value in learned.items()}
        log = train(model, classification_batch())
        assert log['loss_review'] > 0
        for name, value in learned.items():
            assert not torch.equal(value, before[name]), name
        state = model.state_dict()
        assert all(f'distill.{name}' in state for name in learned)
        exported = {k: v for k, v in state.items() if not k.startswith('distill.')}
        MODELS.build(toy_classifier()).load_state_dict(exported, strict=True)

    def test_takes_the_levels_of_a_neck_at_the_sizes_of_each_step(self):
        model = distiller(toy_detector(), toy_detector(width=12), 'neck')
        assert len(model.distill['loss_review'].loss.fusions) == 5
        for size in (128, 192):
            log = train(model, detection_batch(size=size))
            assert log['loss_review'].isfinite() and log['loss_review'] > 0
