"""Probabilistic knowledge transfer against its authors' figures, a slow copy of its
formula, and what must hold of it."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.pkt_loss import PKTLoss, pkt_loss


def draw(student=(5, 4), teacher=(5, 7), seed=0):
    generator = torch.Generator().manual_seed(seed)
    student_features = torch.randn(student, generator=generator, dtype=torch.float64)
    teacher_features = torch.randn(teacher, generator=generator, dtype=torch.float64)
    return student_features.requires_grad_(), teacher_features


@pytest.mark.golden('probabilistic')
def test_equals_the_authors_figures(golden):
    loss = PKTLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [None]))


def slow(student, teacher, eps):
    count, total = len(student), 0
    for i in range(count):
        rows = (_probabilities(side, i, eps) for side in (student, teacher))
        for q, p in zip(*rows):
            total = total + p * torch.log((p + eps) / (q + eps))
    return total / count**2


def _probabilities(features, i, eps):
    units = [x / ((x * x).sum().sqrt() + eps) for x in features]
    kernel = [(1 + (units[i] * unit).sum()) / 2 for unit in units]
    return [value / sum(kernel) for value in kernel]


@pytest.mark.parametrize('eps', [1e-7, 0.1])
def test_equals_the_formula(eps):
    student, teacher = draw()
    fast, reference = pkt_loss(student, teacher, eps), slow(student, teacher, eps)
    assert fast.item() == pytest.approx(reference.item(), rel=1e-9)
    gradients = [torch.autograd.grad(value, student)[0] for value in (fast, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-15)


def test_zero_where_cosines_are_equal():
    """Also with samples at other scales, and in other coordinates."""
    _, teacher = draw()
    rotation = torch.linalg.qr(draw((7, 7))[0].detach())[0]
    scales = torch.tensor([1.0, 2, 3, 4, 5])[:, None]
    student = (scales * teacher @ rotation).requires_grad_()
    value = pkt_loss(student, teacher)
    value.backward()
    assert abs(value.item()) < 1e-8 and student.grad.abs().max() < 1e-6


def test_halved_by_doubling_the_batch():
    """A row keeps its divergence; there are twice the rows, four times the pairs."""
    student, teacher = draw()
    doubled = pkt_loss(torch.cat([student] * 2), torch.cat([teacher] * 2))
    half = pkt_loss(student, teacher).item() / 2
    assert doubled.item() == pytest.approx(half, rel=1e-5)


def test_unchanged_by_the_order_of_samples():
    student, teacher = draw()
    once, order = pkt_loss(student, teacher).item(), [2, 0, 3, 1, 4]
    assert pkt_loss(student[order], teacher[order]).item() == pytest.approx(once)
    assert abs(pkt_loss(student[order], teacher).item() - once) > 1e-3


def test_a_batch_of_one_gives_nothing():
    student, teacher = draw((1, 4), (1, 7))
    value = PKTLoss()([student], [teacher], [None])
    value.backward()
    assert value.item() == 0 and student.grad.abs().max() < 1e-15


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_exact_for_huge_features(dtype):
    student, teacher = ((features.detach() * 1e4).to(dtype) for features in draw())
    value = PKTLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    exact = pkt_loss(student.double(), teacher.double())
    assert value.item() == pytest.approx(exact.item(), rel=1e-4)


def test_finite_for_features_of_zero():
    student, teacher = (features.detach().float() for features in draw())
    student[:2], teacher[1:3] = 0, 0
    value = PKTLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()


def test_finite_for_opposite_samples():
    """Of 64 pairs of them some have a cosine that is rounded to below -1."""
    samples = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)) * 1e3
    student = torch.cat([samples, -samples]).requires_grad_()
    teacher = torch.rand(128, 3, generator=torch.Generator().manual_seed(1))
    value = PKTLoss(eps=1e-12)([student], [teacher], [None])
    value.backward()
    units = torch.nn.functional.normalize(student)
    assert (units @ units.t()).min() < -1
    assert value.isfinite() and student.grad.isfinite().all()


def test_refuses_what_it_cannot_compare():
    inputs = LossInputs('pkt (PKTLoss on x)', [(2, 8)], [(2, 9)], ['x'], ['x'], None)
    PKTLoss().fit(inputs)
    with pytest.raises(ConfigError, match=r"^pkt .*\(2, 8, 4, 4\).*'neck'"):
        PKTLoss().fit(inputs._replace(student=[(2, 8, 4, 4)]))
    with pytest.raises(ConfigError, match='^pkt .*2 samples .* 6'):
        PKTLoss().fit(inputs._replace(teacher=[(6, 9)]))


def test_bad_arguments_are_refused_when_building():
    with pytest.raises(ConfigError, match='eps must be'):
        PKTLoss(eps=0)
