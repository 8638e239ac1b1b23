"""Standardised logits, against the authors' figures and what must hold of them."""

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
    assert loss.needs_target and loss.takes_soft_targets
    assert not LSKDLoss().needs_target and not LSKDLoss().over_batch
    over_batch = LSKDLoss(loss=dict(type='LumiNetLoss'))
    assert isinstance(over_batch.loss, LumiNetLoss) and over_batch.over_batch


def test_fit_and_index_reach_the_loss_inside():
    class Inner(DistillLoss):
        needs_index = True

        def fit(self, inputs):
            self.fitted = inputs

        def forward(self, student, teacher, targets, index):
            self.index = index
            return student[0].sum()

    loss = LSKDLoss(loss=dict(type=Inner))
    inputs = fitted((2, 5))
    loss.fit(inputs)
    student, teacher, _ = draw()
    loss([student], [teacher], [None], index=torch.arange(8))
    assert loss.needs_index
    assert loss.loss.fitted is inputs
    assert loss.loss.index.tolist() == list(range(8))


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
        (dict(type=OfMaps), 'OfMaps compares feature maps'),
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
    'shape, message', [((2, 8, 4, 4), r'rows \(N, C\)'), ((2, 1), 'at least two')]
)
def test_only_logits_of_several_classes_fit(shape, message):
    with pytest.raises(ConfigError, match=f'kd: .*{message}'):
        LSKDLoss().fit(fitted(shape))


def fitted(shape):
    return LossInputs('kd', [shape], [shape], ['fc'], ['fc'], None)
