"""One-for-all distillation, against the authors' figures and its formula."""

import math

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.kd_loss import kd_loss
from mmkd.models.losses.ofa_loss import OFALoss, ofa_loss


def draw(batch=8, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    teacher = 2 * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (batch,), generator=generator)
    return student.requires_grad_(), teacher, labels


def call(loss, student, teacher, labels):
    return loss([student], [teacher], [labels])


@pytest.mark.golden('ofa')
def test_equals_the_authors_figures(golden):
    loss = OFALoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [golden.labels]))


@pytest.mark.parametrize('eps, tau', [(1.0, 1.0), (1.4, 2.0), (0.5, 0.7)])
def test_is_the_formula(eps, tau):
    """Also at a temperature, for which the authors' figures hold no case."""
    student, teacher, labels = draw()
    total = 0.0
    rows = zip(student.tolist(), teacher.tolist(), labels.tolist())
    for mine, its, label in rows:
        p = [math.exp(z / tau) for z in mine]
        q = [math.exp(z / tau) for z in its]
        for k in range(5):
            mask = float(k == label)
            weight = (q[k] / sum(q) + mask) ** eps - mask
            total -= weight * math.log(p[k] / sum(p)) / 8
    value = ofa_loss(student, teacher, labels, eps, tau)
    assert value.item() == pytest.approx(total, rel=1e-12)


def test_gradient_is_that_of_kd_without_enhancement():
    student, teacher, labels = draw()
    ofa_loss(student, teacher, labels, 1.0, 2.0).backward()
    gradient, student.grad = student.grad, None
    kd_loss(student, teacher, 2.0).backward()
    assert torch.allclose(4 * gradient, student.grad, rtol=1e-12)


def test_enhancement_pulls_towards_the_target():
    """At equal predictions it goes on raising the target's."""
    _, teacher, labels = draw()
    student = teacher.clone().requires_grad_()
    ofa_loss(student, teacher, labels, 1.5, 1.0).backward()
    target = torch.nn.functional.one_hot(labels, 5).bool()
    assert (student.grad[target] < 0).all()


def test_stages_are_summed():
    first, second = draw(seed=0), draw(seed=1)
    both = OFALoss()(*([a, b] for a, b in zip(first, second)))
    total = call(OFALoss(), *first) + call(OFALoss(), *second)
    assert both.item() == pytest.approx(total.item(), rel=1e-12)


@pytest.mark.parametrize('eps', [0.5, 1.5])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_for_huge_logits(eps, dtype):
    student, teacher, labels = draw()
    student = (student.detach() * 1e4).to(dtype).requires_grad_()
    value = call(OFALoss(eps), student, (-teacher * 5e3).to(dtype), labels)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize('wrong', [dict(eps=0), dict(tau=-1.0)])
def test_bad_arguments_are_refused_when_building(wrong):
    with pytest.raises(ConfigError, match=f'OFALoss: {next(iter(wrong))} must be'):
        OFALoss(**wrong)
