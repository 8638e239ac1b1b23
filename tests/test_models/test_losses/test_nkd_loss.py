"""NKD against its authors' figures, and what must hold of it."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.dkd_loss import dkd_rows
from mmkd.models.losses.nkd_loss import NKDLoss, nkd_rows


def draw(batch=8, classes=5):
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(
        2, batch, classes, generator=random, dtype=torch.float64
    )
    labels = torch.randint(classes, (batch,), generator=random)
    return student.requires_grad_(), 2 * teacher, labels


def gradient(value, student):
    return torch.autograd.grad(value, student)[0]


@pytest.mark.golden('nkd')
def test_equals_the_authors_figures(golden):
    loss = NKDLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [golden.labels]))


def test_the_target_part_is_a_cross_entropy_weighted_by_the_teacher():
    student, teacher, labels = draw()
    confidence = teacher.softmax(1)[range(8), labels]
    expected = -confidence * student.softmax(1)[range(8), labels].log()
    for tau in 1.0, 3.0:
        value = nkd_rows(student, teacher, labels, 0.0, tau).mean()
        assert value.item() == pytest.approx(expected.mean().item(), rel=1e-9)


def test_the_non_target_part_pulls_as_that_of_dkd_does():
    """They differ by the teacher's entropy, which has no gradient."""
    student, teacher, labels = draw()
    whole = gradient(nkd_rows(student, teacher, labels, 1.5, 3.0).mean(), student)
    target_part = gradient(nkd_rows(student, teacher, labels, 0.0, 3.0).mean(), student)
    expected = gradient(
        dkd_rows(student, teacher, labels, 0.0, 1.5, 3.0).mean(), student
    )
    assert torch.allclose(whole - target_part, expected, rtol=1e-9, atol=1e-12)


def test_for_equal_logits_only_the_target_part_has_a_gradient():
    _, teacher, labels = draw()
    student = teacher.clone().requires_grad_()
    whole = gradient(nkd_rows(student, teacher, labels, 1.5, 3.0).mean(), student)
    target_part = gradient(nkd_rows(student, teacher, labels, 0.0, 3.0).mean(), student)
    assert torch.allclose(whole, target_part, atol=1e-12)
    assert (target_part[range(8), labels] < 0).all()


@pytest.mark.parametrize('wrong', [dict(gamma=-1), dict(gamma='1'), dict(tau=0)])
def test_bad_arguments_are_refused_when_building(wrong):
    with pytest.raises(ConfigError, match=f'NKDLoss: {next(iter(wrong))} must be'):
        NKDLoss(**wrong)
