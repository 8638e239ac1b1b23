"""WTTM against its authors' figures, and what must hold of it."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.kd_loss import kd_loss
from mmkd.models.losses.wttm_loss import WTTMLoss, wttm_loss


def draw(batch=8, classes=5):
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(
        2, batch, classes, generator=random, dtype=torch.float64
    )
    return student.requires_grad_(), 2 * teacher


def call(student, teacher, **kwargs):
    return WTTMLoss(**kwargs)([student], [teacher], [None])


@pytest.mark.golden('wttm')
def test_equals_the_authors_figures(golden):
    loss = WTTMLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [golden.labels]))


@pytest.mark.parametrize('gamma', [0.1, 0.8, 1.5])
def test_zero_where_the_student_is_the_softened_teacher(gamma):
    _, teacher = draw()
    student = (gamma * teacher).requires_grad_()
    value = call(student, teacher, gamma=gamma)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert student.grad.abs().max() < 1e-7


def test_without_a_power_it_is_kd():
    student, teacher = draw()
    assert wttm_loss(student, teacher, 1.0).item() == pytest.approx(
        kd_loss(student, teacher, 1.0).item(), rel=1e-9
    )


def test_weights_a_sample_by_the_smoothness_of_its_teacher():
    """From 1 where the teacher is certain to K^(1-gamma) where it is uniform."""
    student, _ = draw(batch=1)
    certain, uniform = 1e4 * torch.eye(5)[:1].double(), torch.zeros(1, 5).double()
    log_student = student.log_softmax(1)
    value = wttm_loss(student, certain, 0.1)
    assert value.item() == pytest.approx(-log_student[0, 0].item(), rel=1e-9)
    value = wttm_loss(student, uniform, 0.1)
    divergence = (-torch.tensor(5.0).log() - log_student).mean()
    assert value.item() == pytest.approx(5**0.9 * divergence.item(), rel=1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('gamma', [0.001, 2.0])
def test_finite_for_huge_logits(dtype, gamma):
    student, teacher = draw()
    student = (student.detach() * 1e4).to(dtype).requires_grad_()
    value = call(student, (-teacher * 1e4).to(dtype), gamma=gamma)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize('gamma', [0, -0.1, '0.1'])
def test_bad_arguments_are_refused_when_building(gamma):
    with pytest.raises(ConfigError, match='WTTMLoss: gamma must be'):
        WTTMLoss(gamma=gamma)
