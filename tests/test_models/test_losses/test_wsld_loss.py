"""WSLD against a slow reference, and what must hold of it."""

from math import exp, log

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.kd_loss import kd_loss
from mmkd.models.losses.wsld_loss import WSLDLoss, wsld_loss


def draw(batch=8, classes=5):
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(
        2, batch, classes, generator=random, dtype=torch.float64
    )
    labels = torch.randint(classes, (batch,), generator=random)
    return student.requires_grad_(), 2 * teacher, labels


def call(student, teacher, labels, **kwargs):
    return WSLDLoss(**kwargs)([student], [teacher], [labels])


def softmax(row, tau):
    powers = [exp(logit / tau) for logit in row]
    return [power / sum(powers) for power in powers]


def reference(student, teacher, labels, tau, weighing):
    """The formula, sample by sample; weights are taken at the student ``weighing``."""
    total = 0.0
    for s, t, y, fixed in zip(student, teacher, labels, weighing):
        errors = [-log(softmax(row, 1)[y]) for row in (fixed, t)]
        weight = 1 - exp(-errors[0] / errors[1])
        pairs = zip(softmax(t, tau), softmax(s, tau))
        total += weight * sum(p * log(p / q) for p, q in pairs)
    return tau**2 * total / len(labels)


@pytest.mark.parametrize('tau', [1.0, 2.0, 4.0])
def test_equals_the_formula(tau):
    student, teacher, labels = draw()
    value = call(student, teacher, labels, tau=tau)
    value.backward()
    s, t, y = student.tolist(), teacher.tolist(), labels.tolist()
    # The authors' 1e-7 next to the teacher's cross-entropy is not in the formula.
    assert value.item() == pytest.approx(reference(s, t, y, tau, s), rel=1e-5)
    for row in range(8):
        for column in range(5):
            ends = []
            for step in 1e-6, -1e-6:
                moved = student.tolist()
                moved[row][column] += step
                ends.append(reference(moved, t, y, tau, s))
            slope = (ends[0] - ends[1]) / 2e-6
            assert student.grad[row, column].item() == pytest.approx(
                slope, rel=1e-5, abs=1e-8
            )


def test_zero_where_student_equals_teacher():
    _, teacher, labels = draw()
    student = teacher.clone().requires_grad_()
    value = call(student, teacher, labels)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert student.grad.abs().max() < 1e-7


def test_gradient_is_that_of_the_published_cross_entropy():
    student, teacher, labels = draw()
    errors = [-z.log_softmax(1)[range(8), labels] for z in (student, teacher)]
    weight = 1 - torch.exp(-errors[0].detach() / (errors[1] + 1e-7))
    soft = (teacher / 2).softmax(1)
    published = 4 * (weight * -(soft * (student / 2).log_softmax(1)).sum(1)).mean()
    expected = torch.autograd.grad(published, student)[0]
    wsld_loss(student, teacher, labels, 2.0).backward()
    assert torch.allclose(student.grad, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_where_the_teacher_is_certain(dtype):
    """The weight is 1, and 0 where the student is certain too."""
    teacher = 1e4 * torch.eye(5, dtype=dtype)[:1]
    label = torch.zeros(1, dtype=torch.long)
    unsure = torch.randn(1, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    value = wsld_loss(unsure, teacher, label, 2.0)
    assert value.item() == pytest.approx(kd_loss(unsure, teacher, 2.0).item(), rel=1e-6)

    # At a high temperature the two differ, so that it is the weight that is 0.
    sure, softer = teacher / 2, teacher
    assert kd_loss(sure, softer, 2000.0).item() > 1
    assert wsld_loss(sure, softer, label, 2000.0).item() == 0


def test_tau_must_be_positive():
    with pytest.raises(ConfigError, match='WSLDLoss: tau must be'):
        WSLDLoss(tau=0)
