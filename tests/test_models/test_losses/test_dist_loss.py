"""DIST against its authors' figures, and what must hold of it."""

import numpy as np
import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.dist_loss import DISTLoss, correlation, dist_loss


def draw(batch=8, classes=5):
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(
        2, batch, classes, generator=random, dtype=torch.float64
    )
    return student.requires_grad_(), 2 * teacher


def call(student, teacher, **kwargs):
    return DISTLoss(**kwargs)([student], [teacher], [None])


def mean_distance(student, teacher):
    """Mean of 1 - Pearson's correlation of the rows of two arrays."""
    return np.mean([1 - np.corrcoef(*rows)[0, 1] for rows in zip(student, teacher)])


@pytest.mark.golden('dist')
def test_equals_the_authors_figures(golden):
    loss = DISTLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [golden.labels]))


@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_correlates_rows_and_columns_of_probabilities(tau):
    student, teacher = draw()
    soft = [(logits / tau).softmax(1).detach().numpy() for logits in (student, teacher)]
    rows = mean_distance(*soft) * tau**2
    columns = mean_distance(*(array.T for array in soft)) * tau**2
    inter = dist_loss(student, teacher, 1.0, 0.0, tau)
    intra = dist_loss(student, teacher, 0.0, 1.0, tau)
    both = dist_loss(student, teacher, 0.5, 3.0, tau)
    # The eps of the denominator is seen where probabilities hardly vary.
    assert inter.item() == pytest.approx(rows, rel=1e-6)
    assert intra.item() == pytest.approx(columns, rel=1e-6)
    assert both.item() == pytest.approx(0.5 * rows + 3 * columns, rel=1e-6)


def test_zero_where_student_equals_teacher():
    _, teacher = draw()
    student = teacher.clone().requires_grad_()
    value = call(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)
    assert student.grad.abs().max() < 1e-5


def test_correlation_ignores_scale_and_shift():
    student, teacher = draw()
    once = correlation(student, teacher, dim=1)
    assert torch.allclose(correlation(3 * student + 7, teacher, dim=1), once, atol=1e-7)
    assert torch.allclose(correlation(-student, teacher, dim=1), -once, atol=1e-7)
    assert torch.allclose(correlation(teacher, teacher, dim=1), torch.ones_like(once))


def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples():
    student, teacher = draw()
    once = call(student, teacher).item()
    doubled = call(*(torch.cat([item, item]) for item in draw()))
    assert doubled.item() == pytest.approx(once, rel=1e-6)
    reversed_ = call(student.flip(0), teacher.flip(0))
    assert reversed_.item() == pytest.approx(once, rel=1e-9)


def test_one_sample_has_no_intra_class_part():
    student, teacher = draw(batch=1)
    value = call(student, teacher, beta=0.0, gamma=2.0)
    value.backward()
    assert value.item() == 2 and student.grad.abs().max() == 0
    assert call(student, teacher, beta=1.0, gamma=0.0).item() > 1e-3
    assert DISTLoss.over_batch


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('sign', [1, -1])
def test_finite_for_huge_logits(dtype, sign):
    student, teacher = draw(classes=20)
    student = (student.detach() * 1e4).to(dtype).requires_grad_()
    value = call(student, (sign * teacher * 1e4).to(dtype))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize('constant', ['student', 'teacher', 'both'])
def test_constant_predictions_are_uncorrelated(constant):
    student, teacher = (logits.detach().float() for logits in draw())
    student = student * (constant == 'teacher')
    teacher = teacher * (constant == 'student')
    student.requires_grad_()
    value = call(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(2, abs=1e-3)
    assert student.grad.isfinite().all()


@pytest.mark.parametrize('wrong', [dict(beta=-1), dict(gamma='1'), dict(tau=0)])
def test_bad_arguments_are_refused_when_building(wrong):
    with pytest.raises(ConfigError, match=f'DISTLoss: {next(iter(wrong))} must be'):
        DISTLoss(**wrong)
