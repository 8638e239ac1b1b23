"""Similarity preserving against its authors' figures, a slow copy of its formula, and
what must hold of it."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.sp_loss import SPLoss, sp_loss


def draw(student=(5, 3, 2, 2), teacher=(5, 7), seed=0):
    generator = torch.Generator().manual_seed(seed)
    student_features = torch.randn(student, generator=generator, dtype=torch.float64)
    teacher_features = torch.randn(teacher, generator=generator, dtype=torch.float64)
    return student_features.requires_grad_(), teacher_features


@pytest.mark.golden('similarity_preserving')
def test_equals_the_authors_figures(golden):
    loss = SPLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [None]))


def slow(student, teacher):
    count, total = len(student), 0
    for i in range(count):
        rows = []
        for features in (student, teacher):
            row = [(features[i] * features[j]).sum() for j in range(count)]
            length = sum(value**2 for value in row) ** 0.5
            rows.append([value / length for value in row])
        total = total + sum((value - reference) ** 2 for value, reference in zip(*rows))
    return total / count**2


@pytest.mark.parametrize('shape', [(5, 3, 2, 2), (5, 4, 6), (5, 3)])
def test_equals_the_formula_for_any_shapes(shape):
    student, teacher = draw(shape)
    fast, reference = sp_loss(student, teacher), slow(student, teacher)
    assert fast.item() == pytest.approx(reference.item(), rel=1e-9)
    gradients = [torch.autograd.grad(value, student)[0] for value in (fast, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-15)


def test_zero_where_similarities_are_equal():
    """Also at another scale, and in other coordinates."""
    _, teacher = draw()
    rotation = torch.linalg.qr(draw((7, 7))[0].detach())[0]
    student = (3 * teacher @ rotation).requires_grad_()
    value = sp_loss(student, teacher)
    value.backward()
    assert value.item() < 1e-15 and student.grad.abs().max() < 1e-12


def test_halved_by_doubling_the_batch():
    """A row of twice the length has entries smaller by the root of two."""
    student, teacher = draw()
    doubled = sp_loss(torch.cat([student] * 2), torch.cat([teacher] * 2))
    half = sp_loss(student, teacher).item() / 2
    assert doubled.item() == pytest.approx(half, rel=1e-9)


def test_unchanged_by_the_order_of_samples():
    student, teacher = draw()
    once, order = sp_loss(student, teacher).item(), [2, 0, 3, 1, 4]
    assert sp_loss(student[order], teacher[order]).item() == pytest.approx(once)
    assert abs(sp_loss(student[order], teacher).item() - once) > 1e-3


def test_a_batch_of_one_gives_nothing():
    student, teacher = draw((1, 3, 2, 2), (1, 7))
    value = SPLoss()([student], [teacher], [None])
    value.backward()
    assert value.item() == 0 and student.grad.abs().max() == 0


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_exact_for_huge_features(dtype):
    student, teacher = ((features.detach() * 1e4).to(dtype) for features in draw())
    value = SPLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    exact = sp_loss(student.double(), teacher.double())
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize('zeros', [slice(None), slice(2)])
def test_finite_for_features_of_zero(zeros):
    student, teacher = (features.detach().float() for features in draw())
    student[zeros] = 0
    value = SPLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()


def test_refuses_other_samples():
    where = 'sp (SPLoss on x)'
    inputs = LossInputs(where, [(2, 8), (2, 3)], [(2, 9), (2, 3)], ['x'], ['x'], None)
    SPLoss().fit(inputs)
    with pytest.raises(ConfigError, match='^sp .*2 samples .* 8'):
        SPLoss().fit(inputs._replace(teacher=[(2, 9), (8, 3)]))
