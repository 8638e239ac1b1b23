"""Standardised logits, against the authors' figures and what must hold of them."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.base import DistillLoss, LossInputs
from mmkd.models.losses.dkd_loss import DKDLoss
from mmkd.models.losses.lskd_loss import LSKDLoss, standardise
from mmkd.models.losses.luminet_loss import LumiNetLoss


def draw(batch=8, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    teacher = 2 * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (batch,), generator=generator)
    return student.requires_grad_(), teacher, labels


@pytest.mark.golden('logit_standardized_kd')
def test_equals_the_authors_figures(golden):
    loss = LSKDLoss(loss=dict(type='KDLoss', **golden.params))
    golden.check(loss([golden.student], [golden.teacher], [golden.labels]))


def test_default_is_kd_at_temperature_two():
    student, teacher, _ = draw()
    given = LSKDLoss(loss=dict(type='KDLoss', tau=2.0))
    assert LSKDLoss()([student], [teacher], [None]) == given(
        [student], [teacher], [None]
    )


def test_each_row_is_standardised_without_bias():
    logits = draw()[0].detach() * 7 + 3
    rows = logits.numpy()
    expected = [(row - row.mean()) / (np.std(row, ddof=1) + 1e-7) for row in rows]
    assert np.allclose(standardise(logits), expected, rtol=1e-12)


def test_unchanged_by_scale_and_shift_of_a_sample():
    student, teacher, _ = draw()
    scale, shift = torch.rand(2, 8, 1, dtype=torch.float64) * 5 + 0.1
    once = LSKDLoss()([student], [teacher], [None]).item()
    moved = LSKDLoss()([student * scale + shift], [teacher], [None]).item()
    assert moved == pytest.approx(once, rel=1e-6)
    moved = LSKDLoss()([student], [teacher * scale + shift], [None]).item()
    assert moved == pytest.approx(once, rel=1e-6)


def test_equal_logits_give_a_zero_and_no_gradient():
    _, teacher, _ = draw()
    student = teacher.clone().requires_grad_()
    value = LSKDLoss()([student], [teacher], [None])
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-9


def test_labels_and_settings_reach_the_loss_inside():
    student, teacher, labels = draw()
    loss = LSKDLoss(loss=dict(type='DKDLoss', beta=2.0, soft_targets='argmax'))
    expected = DKDLoss(beta=2.0)(
        [standardise(student)], [standardise(teacher)], [labels]
    )
    assert loss([student], [teacher], [labels]).item() == pytest.approx(expected.item())
    assert loss.needs == ('soft_labels',)
    assert LSKDLoss().needs == () and not LSKDLoss().over_batch
    over_batch = LSKDLoss(loss=dict(type='LumiNetLoss'))
    assert isinstance(over_batch.loss, LumiNetLoss) and over_batch.over_batch


class Inner(DistillLoss):
    """Says something of itself in every way that a loss can."""

    needs = ('labels', 'index')
    over_batch = True
    synchronises = True
    adapts = False
    sum_levels = True

    def fit(self, inputs):
        super().fit(inputs)
        self.fitted = inputs

    def see_training_set(self, labels):
        self.labels = labels

    @contextmanager
    def around(self, *sides):
        self.opened = sides
        yield 'open'

    def compare_levels(self, student, teacher, targets, index):
        self.seen = student, teacher, targets, index
        self.parts = dict(first=student[0].sum().detach(), second=index.sum())
        return student[0].square().sum()


def test_the_loss_inside_is_asked_for_everything():
    loss = LSKDLoss(loss=dict(type=Inner))
    inner = loss.loss
    for name in ('needs', 'over_batch', 'synchronises', 'adapts', 'sum_levels'):
        assert getattr(loss, name) == getattr(inner, name)
    inputs = fitted((2, 5))
    loss.fit(inputs)
    loss.see_training_set('all labels')
    with loss.around('of the student', 'of the teacher', 'adapters') as opened:
        assert opened == 'open'
    student, teacher, labels = draw()
    value = loss(student, teacher, labels, index=torch.arange(8))
    assert inner.fitted is inputs and inner.labels == 'all labels'
    assert inner.opened == ('of the student', 'of the teacher', 'adapters')
    rows, wanted, targets, index = inner.seen
    assert torch.equal(rows[0], standardise(student))
    assert torch.equal(wanted[0], standardise(teacher))
    assert targets[0] is labels and index.tolist() == list(range(8))
    assert value.item() == pytest.approx(8 * 4)  # N (K - 1)
    assert list(loss.parts) == ['first', 'second'] and loss.parts['second'] == 28


@pytest.mark.parametrize(
    'inside, parts',
    [
        (dict(type='MLKDLoss'), []),
        (dict(type='AEKTLoss'), ['explicit', 'implicit']),
        (dict(type='OFALoss'), []),
        (dict(type='LSKDLoss', loss=dict(type='AEKTLoss')), ['explicit', 'implicit']),
    ],
)
def test_is_the_loss_inside_of_standardised_logits(inside, parts):
    student, teacher, labels = draw()
    loss = LSKDLoss(loss=inside).fit_to(student, teacher).double()
    value = loss([student, 2 * teacher], [teacher, student], labels)
    rows, targets = standardise(student), standardise(teacher)
    expected = loss.loss([rows, standardise(2 * teacher)], [targets, rows], labels)
    assert value == expected
    assert list(loss.parts) == parts
    if parts:
        assert sum(loss.parts.values()).item() == pytest.approx(value.item())


def test_crd_inside_learns_by_the_labels_that_it_gets():
    student, teacher, labels = draw()
    inside = dict(type='CRDLoss', num_samples=8, feat_dim=3, negatives=4)
    loss = LSKDLoss(loss=inside).fit_to(student, teacher).double()
    assert loss.needs == ('index',)
    loss.see_training_set(labels)
    before = loss.loss.student_memory.clone()
    value = loss(student, teacher, index=torch.arange(8))
    assert value.isfinite() and not torch.equal(before, loss.loss.student_memory)


@pytest.mark.parametrize('kind', ['KDLoss', 'MLKDLoss'])
def test_weighs_rows_if_the_loss_inside_does(kind):
    student, teacher, _ = draw()
    weights = torch.linspace(0, 1, 8).double()
    loss = LSKDLoss(loss=dict(type=kind))
    assert loss.weighs_rows == (kind == 'KDLoss')
    if not loss.weighs_rows:
        with pytest.raises(ConfigError, match='has no value for each row to weight'):
            loss(student, teacher, weights=weights)
        return
    rows = loss.loss.rows(standardise(student), standardise(teacher), None)
    assert torch.equal(loss.rows(student, teacher, None), rows)
    value = loss(student, teacher, weights=weights, divisor=3.0)
    assert value.item() == pytest.approx((rows * weights).sum().item() / 3)


def test_a_sample_of_equal_logits_has_a_gradient_of_its_order():
    """As a classifier that starts from zero puts them out."""
    student, teacher = torch.zeros(8, 5, requires_grad=True), draw()[1]
    LSKDLoss()([student], [teacher], [None]).backward()
    rows = torch.zeros(8, 5, dtype=torch.float64, requires_grad=True)
    LSKDLoss().loss([rows], [standardise(teacher)], [None]).backward()
    assert torch.allclose(student.grad.double(), rows.grad, atol=1e-6)
    assert rows.grad.abs().max() > 1e-2


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_for_huge_and_for_constant_logits(dtype):
    student, teacher, _ = draw()
    student = student.detach() * 1e4
    student[0], teacher[1] = 1e4, 3.0
    student = student.to(dtype).requires_grad_()
    value = LSKDLoss()([student], [(-teacher * 5e3).to(dtype)], [None])
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


class OfMaps(DistillLoss):
    ranks = (4,)


@pytest.mark.parametrize(
    'loss, message',
    [
        (dict(type='KDLos'), 'unknown loss .*did you mean KDLoss'),
        (dict(type='KDLoss', temperature=2), 'its arguments are tau'),
        (dict(type='Taps'), 'unknown loss'),
        (dict(type=torch.nn.Identity), 'is no distillation loss'),
        (dict(type=OfMaps), 'OfMaps compares maps'),
        (dict(type='SDDLoss'), 'SDDLoss compares logits of cells .*loss of rows'),
        (dict(tau=2.0), 'a dict with a type'),
        ('KDLoss', 'a dict with a type'),
    ],
)
def test_a_wrong_loss_inside_is_named(loss, message):
    with pytest.raises(ConfigError, match=f'LSKDLoss.*{message}'):
        LSKDLoss(loss=loss)


def test_eps_must_be_positive():
    with pytest.raises(ConfigError, match='eps must be'):
        LSKDLoss(eps=0)


@pytest.mark.parametrize(
    'shape, message', [((2, 8, 4, 4), r'rows \(N, C\)'), ((2, 2), 'fewer than 3')]
)
def test_only_logits_of_several_classes_fit(shape, message):
    with pytest.raises(ConfigError, match=f'kd: .*{message}'):
        LSKDLoss().fit(fitted(shape))


def fitted(shape):
    return LossInputs('kd', [shape], [shape], ['fc'], ['fc'], None)
