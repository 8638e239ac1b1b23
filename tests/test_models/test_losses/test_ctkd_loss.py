"""The learned temperature: its value, its reversed gradient and its curriculum."""

import math

import pytest
import torch
from mmengine.logging import MessageHub

from mmkd.errors import ConfigError
from mmkd.models.losses.ctkd_loss import CTKDLoss, ctkd_loss
from mmkd.models.losses.kd_loss import kd_loss


def draw(batch=8, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    teacher = 2 * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher


@pytest.fixture
def at_epoch():
    hub = MessageHub.get_current_instance()
    before = dict(hub.runtime_info)

    def set_epoch(epoch):
        hub.update_info('epoch', epoch)

    yield set_epoch
    hub.runtime_info.clear()
    hub.runtime_info.update(before)


def call(loss, student, teacher):
    return loss([student], [teacher], [None])


def test_is_kd_at_its_temperature():
    student, teacher = draw()
    value = call(CTKDLoss(), student, teacher)
    value.backward()
    gradient, student.grad = student.grad, None
    expected = kd_loss(student, teacher, 1 + 20 / (1 + math.exp(-1)))
    expected.backward()
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(gradient, student.grad, rtol=1e-6)


@pytest.mark.parametrize('theta, strength', [(1.0, 1.0), (-2.0, 0.3), (0.5, 0.0)])
def test_gradient_of_theta_is_the_finite_difference_reversed(theta, strength):
    student, teacher = draw()
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    ctkd_loss(student, teacher, theta, strength, 1.5, 8.0).backward()

    def at(value):
        tau = 1.5 + 8.0 / (1 + math.exp(-value))
        return kd_loss(student, teacher, tau).item()

    slope = (at(theta.item() + 1e-4) - at(theta.item() - 1e-4)) / 2e-4
    assert theta.grad.item() == pytest.approx(-strength * slope, rel=1e-6)
    assert abs(slope) > 1e-3


def test_a_step_of_descent_raises_the_loss_through_theta(at_epoch):
    at_epoch(20)
    student, teacher = draw()
    loss = CTKDLoss().double()
    before = call(loss, student, teacher)
    before.backward()
    with torch.no_grad():
        loss.theta -= 0.1 * loss.theta.grad
    assert call(loss, student, teacher) > before


@pytest.mark.parametrize(
    'epoch, warmup, expected',
    [
        (0, 10, (1 - math.cos(0.1 * math.pi)) / 2),  # the authors count from 1
        (4, 10, 0.5),
        (9, 10, 1.0),
        (200, 10, 1.0),
        (4, 5, 1.0),
    ],
)
def test_strength_grows_as_the_authors_cosine(at_epoch, epoch, warmup, expected):
    at_epoch(epoch)
    loss = CTKDLoss(warmup_epochs=warmup)
    assert loss.strength == pytest.approx(expected)
    student, teacher = draw()
    call(loss, student, teacher).backward()
    full = torch.tensor(1.0, requires_grad=True)
    ctkd_loss(student, teacher, full, 1.0).backward()
    assert loss.theta.grad.item() == pytest.approx(expected * full.grad.item())


def test_theta_is_a_parameter_that_starts_at_one():
    loss = CTKDLoss()
    assert {name: p.item() for name, p in loss.named_parameters()} == {'theta': 1.0}
    assert loss.state_dict().keys() == {'theta'}


def test_zero_where_student_equals_teacher():
    _, teacher = draw()
    student = teacher.clone().requires_grad_()
    loss = CTKDLoss()
    value = call(loss, student, teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert student.grad.abs().max() < 1e-9 and loss.theta.grad.abs() < 1e-9


@pytest.mark.parametrize('copies', [1, 2])
def test_order_and_number_of_samples_change_nothing(copies):
    student, teacher = draw()
    order = torch.arange(7, -1, -1).repeat(copies)
    once = call(CTKDLoss(), student, teacher).item()
    other = call(CTKDLoss(), student[order], teacher[order]).item()
    assert other == pytest.approx(once, rel=1e-12)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_for_huge_logits(dtype):
    student, teacher = draw()
    student = (student.detach() * 1e4).to(dtype).requires_grad_()
    loss = CTKDLoss()
    value = call(loss, student, (-teacher * 5e3).to(dtype))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()
    assert loss.theta.grad.isfinite()


def test_half_precision_is_computed_in_float32_under_autocast():
    student, teacher = draw(64, 100)
    student, teacher = student.detach().bfloat16(), teacher.bfloat16()
    exact = call(CTKDLoss(), student.float(), teacher.float())
    with torch.autocast('cpu', torch.bfloat16):
        assert call(CTKDLoss(), student, teacher) == exact


def test_an_empty_selection_gives_theta_a_gradient_of_zero():
    """DDP waits for the gradient of every parameter, from every process."""
    loss = CTKDLoss()
    student = torch.zeros(0, 5, requires_grad=True)
    value = call(loss, student, torch.zeros(0, 5))
    value.backward()
    assert value.item() == 0
    assert student.grad is not None and loss.theta.grad.item() == 0


@pytest.mark.parametrize(
    'wrong', [dict(tau_min=0), dict(tau_range=-1.0), dict(warmup_epochs='10')]
)
def test_bad_arguments_are_refused_when_building(wrong):
    with pytest.raises(ConfigError, match=f'CTKDLoss: {next(iter(wrong))} must be'):
        CTKDLoss(**wrong)
