"""Multi-level distillation, against its formula written out in loops."""

import numpy as np
import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.kd_loss import kd_loss
from mmkd.models.losses.mlkd_loss import (
    MLKDLoss,
    batch_correlation_loss,
    class_correlation_loss,
)

TAUS = (4.0, 3.0, 5.0, 2.0, 6.0)


def draw(batch=6, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    teacher = 2 * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher


def call(loss, student, teacher):
    return loss([student], [teacher], [None])


def softened(logits, tau):
    powers = [[np.exp(z / tau) for z in row] for row in logits]
    return [[power / sum(row) for power in row] for row in powers]


def kd_in_loops(student, teacher, tau):
    p, q = softened(student, tau), softened(teacher, tau)
    gaps = [b * np.log(b / a) for mine, its in zip(p, q) for a, b in zip(mine, its)]
    return tau**2 * sum(gaps) / len(p)


def correlations_in_loops(student, teacher, tau):
    """Over classes and over samples."""
    p, q = softened(student, tau), softened(teacher, tau)
    n, k = len(p), len(p[0])
    classes = batch = 0.0
    for i in range(k):
        for j in range(k):
            of_teacher = sum(q[b][i] * q[b][j] for b in range(n))
            of_student = sum(p[b][i] * p[b][j] for b in range(n))
            classes += (of_teacher - of_student) ** 2 / k
    for i in range(n):
        for j in range(n):
            of_teacher = sum(q[i][c] * q[j][c] for c in range(k))
            of_student = sum(p[i][c] * p[j][c] for c in range(k))
            batch += (of_teacher - of_student) ** 2 / n
    return classes + batch


def one_view(student, teacher):
    parts = (kd_in_loops, correlations_in_loops)
    return sum(part(student, teacher, tau) for tau in TAUS for part in parts)


def two_views(student, teacher):
    half = len(student) // 2
    weak = one_view(student[:half], teacher[:half])
    strong = sum(kd_in_loops(student[half:], teacher[half:], tau) for tau in TAUS)
    return 0.5 * weak + strong


@pytest.mark.parametrize('views, slow', [(1, one_view), (2, two_views)])
def test_value_and_gradient_are_those_of_the_formula(views, slow):
    student, teacher = draw()
    value = call(MLKDLoss(views=views), student, teacher)
    value.backward()
    logits = student.detach().numpy().copy()
    assert value.item() == pytest.approx(slow(logits, teacher.numpy()), rel=1e-10)
    for place in np.ndindex(logits.shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = logits.copy()
            moved[place] += step
            ends.append(slow(moved, teacher.numpy()))
        slope = (ends[0] - ends[1]) / 2e-5
        assert student.grad[place].item() == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_zero_where_student_equals_teacher():
    _, teacher = draw()
    for views in (1, 2):
        student = teacher.clone().requires_grad_()
        value = call(MLKDLoss(views=views), student, teacher)
        value.backward()
        assert value.item() == pytest.approx(0, abs=1e-12)
        assert student.grad.abs().max() < 1e-12


@pytest.mark.parametrize('views', [1, 2])
def test_unchanged_by_the_order_of_samples_in_a_view(views):
    student, teacher = draw(8)
    orders = [torch.tensor([2, 0, 3, 1]), torch.tensor([4, 7, 5, 6])]
    order = torch.cat(orders if views == 2 else orders[::-1])
    once = call(MLKDLoss(views=views), student, teacher).item()
    other = call(MLKDLoss(views=views), student[order], teacher[order]).item()
    assert other == pytest.approx(once, rel=1e-12)


def test_views_are_not_alike():
    """The strong view has no correlations and twice the weight."""
    student, teacher = draw(8)
    swapped = torch.arange(8).roll(4)
    once = call(MLKDLoss(views=2), student, teacher).item()
    other = call(MLKDLoss(views=2), student[swapped], teacher[swapped]).item()
    assert other != pytest.approx(once, rel=1e-3)


def test_weak_weight_scales_the_weak_view():
    student, teacher = draw(8)
    alone = call(MLKDLoss(), student[:4], teacher[:4]).item()
    once = call(MLKDLoss(views=2), student, teacher).item()
    full = call(MLKDLoss(views=2, weak_weight=1.0), student, teacher).item()
    assert full - once == pytest.approx(alone / 2, rel=1e-10)


def test_doubling_the_batch_scales_the_correlations():
    student, teacher = draw()
    twice = [torch.cat([logits, logits]) for logits in (student, teacher)]
    for part, factor in (
        (kd_loss, 1),
        (class_correlation_loss, 4),
        (batch_correlation_loss, 2),
    ):
        once = part(student, teacher, 3.0).item()
        assert part(*twice, 3.0).item() == pytest.approx(factor * once, rel=1e-10)


@pytest.mark.parametrize('views', [1, 2])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_for_huge_logits(views, dtype):
    student, teacher = draw()
    student = (student.detach() * 1e4).to(dtype).requires_grad_()
    value = call(MLKDLoss(views=views), student, (-teacher * 5e3).to(dtype))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


def test_half_precision_is_computed_in_float32_under_autocast():
    student, teacher = draw(64, 100)
    student, teacher = student.detach().bfloat16(), teacher.bfloat16()
    exact = call(MLKDLoss(), student.float(), teacher.float())
    with torch.autocast('cpu', torch.bfloat16):
        assert call(MLKDLoss(), student, teacher) == exact


def test_an_empty_selection_gives_a_zero_in_the_graph():
    student = torch.zeros(0, 5, requires_grad=True)
    value = call(MLKDLoss(), student, torch.zeros(0, 5))
    value.backward()
    assert value.item() == 0 and student.grad is not None


def test_compares_samples_with_each_other():
    assert MLKDLoss.over_batch


def test_two_views_need_pairs():
    student, teacher = draw(5)
    with pytest.raises(ConfigError, match='got 5 samples.*WeakStrongPreprocessor'):
        call(MLKDLoss(views=2), student, teacher)


@pytest.mark.parametrize(
    'wrong',
    [
        dict(taus=()),
        dict(taus=4.0),
        dict(taus=(4.0, 0)),
        dict(views=3),
        dict(weak_weight=0),
    ],
)
def test_bad_arguments_are_refused_when_building(wrong):
    with pytest.raises(ConfigError, match=f'MLKDLoss: .*{next(iter(wrong))} must be'):
        MLKDLoss(**wrong)
