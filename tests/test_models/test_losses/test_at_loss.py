"""Attention transfer against its authors' figures, a slow copy of its formula, and
what must hold of it."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.at_loss import ATLoss, at_loss
from mmkd.models.losses.base import LossInputs


def draw(student=(4, 3, 8, 8), teacher=(4, 5, 4, 4), seed=0):
    generator = torch.Generator().manual_seed(seed)
    student_maps = torch.randn(student, generator=generator, dtype=torch.float64)
    teacher_maps = torch.randn(teacher, generator=generator, dtype=torch.float64)
    return student_maps.requires_grad_(), teacher_maps


def inputs(student, teacher):
    return LossInputs('at (ATLoss on x)', [student], [teacher], ['x'], ['x'], None)


@pytest.mark.golden('attention_transfer')
def test_equals_the_authors_figures(golden):
    loss = ATLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [None]))


def slow(student, teacher, p):
    """Sample by sample, on maps of 4 x 4."""
    total = 0
    for pair in zip(student, teacher):
        attentions = (_unit_attention(maps, p) for maps in pair)
        total = total + sum((a - b) ** 2 for a, b in zip(*attentions)) / 16
    return total / len(student)


def _unit_attention(maps, p):
    rows, columns = maps.shape[1] // 4, maps.shape[2] // 4
    attention = []
    for y in range(4):
        for x in range(4):
            cell = maps[
                :, y * rows : (y + 1) * rows, x * columns : (x + 1) * columns
            ].mean(dim=(1, 2))
            attention.append(sum(abs(value) ** p for value in cell) / len(cell))
    length = sum(value**2 for value in attention) ** 0.5
    return [value / length for value in attention]


@pytest.mark.parametrize('p', [1, 2, 3])
@pytest.mark.parametrize(
    'sizes', [((8, 8), (4, 4)), ((4, 4), (8, 12)), ((4, 8), (12, 4)), ((4, 4), (4, 4))]
)
def test_equals_the_formula(p, sizes):
    student, teacher = draw((2, 3) + sizes[0], (2, 5) + sizes[1])
    fast, reference = at_loss(student, teacher, p), slow(student, teacher, p)
    assert fast.item() == pytest.approx(reference.item(), rel=1e-9)
    gradients = [torch.autograd.grad(value, student)[0] for value in (fast, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-15)


def test_zero_where_student_equals_teacher():
    _, teacher = draw()
    student = teacher.clone().requires_grad_()
    value = at_loss(student, teacher)
    value.backward()
    assert value.item() == 0 and student.grad.abs().max() == 0


def test_compares_where_features_are_large_and_not_how_large():
    student, teacher = draw()
    once = at_loss(student, teacher).item()
    assert at_loss(-3 * student, 7 * teacher).item() == pytest.approx(once, rel=1e-9)
    shuffled = student[:, [2, 0, 1]], teacher[:, [4, 3, 1, 0, 2]]
    assert at_loss(*shuffled).item() == pytest.approx(once, rel=1e-9)
    assert abs(at_loss(student.flip(3), teacher).item() - once) > 1e-3


def test_unchanged_by_doubling_and_by_the_order_of_samples():
    student, teacher = draw()
    once = at_loss(student, teacher).item()
    doubled = at_loss(torch.cat([student] * 2), torch.cat([teacher] * 2))
    assert doubled.item() == pytest.approx(once, rel=1e-9)
    order = [2, 0, 3, 1]
    assert at_loss(student[order], teacher[order]).item() == pytest.approx(once)
    assert abs(at_loss(student[order], teacher).item() - once) > 1e-3


def test_levels_are_summed():
    levels = [draw(), draw((4, 3, 4, 4), (4, 5, 2, 2), seed=1)]
    both = ATLoss()(*map(list, zip(*levels)), [None, None])
    assert both.item() == pytest.approx(sum(at_loss(*level).item() for level in levels))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_exact_for_huge_features(dtype):
    student, teacher = ((maps.detach() * 1e4).to(dtype) for maps in draw())
    value = ATLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    exact = at_loss(student.double(), teacher.double())
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize('p', [1, 2])
def test_finite_for_features_of_zero(p):
    student, teacher = (
        torch.zeros(2, 3, 4, 4, requires_grad=True),
        torch.rand(2, 5, 4, 4),
    )
    value = ATLoss(p)([student], [teacher], [None])
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()


def test_refuses_what_it_cannot_compare():
    ATLoss().fit(inputs((2, 8, 4, 4), (2, 16, 8, 8)))
    with pytest.raises(ConfigError, match=r'^at .*\(2, 8\).*choose a stage'):
        ATLoss().fit(inputs((2, 8), (2, 16, 8, 8)))
    with pytest.raises(ConfigError, match='^at .*2 samples .* 6'):
        ATLoss().fit(inputs((2, 8, 4, 4), (6, 16, 8, 8)))


@pytest.mark.parametrize('p', [0.5, 0, '2'])
def test_bad_arguments_are_refused_when_building(p):
    with pytest.raises(ConfigError, match='p must be'):
        ATLoss(p)
