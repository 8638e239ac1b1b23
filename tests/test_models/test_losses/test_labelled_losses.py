"""What must hold of every loss that needs labels, and of those like it without."""

from inspect import signature

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models import losses
from mmkd.models.losses.base import LossInputs

EXPORTED = [getattr(losses, name) for name in losses.__all__]
LABELLED = [loss for loss in EXPORTED if 'soft_targets' in signature(loss).parameters]
#: Means over samples of (N, K) logits, too.
UNLABELLED = [losses.KDLoss, losses.LSKDLoss, losses.LumiNetLoss, losses.WTTMLoss]
#: Where the default reads no label.
ARGUMENTS = {losses.OFALoss: dict(eps=1.3)}

labelled = pytest.mark.parametrize('kind', LABELLED)
every = pytest.mark.parametrize('kind', [*LABELLED, *UNLABELLED])


def draw(kind, batch=8, classes=5):
    """Logits of images, or where a loss compares them, of three cells each."""
    shape = (batch, classes, 3) if kind.ranks == (3,) else (batch, classes)
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, *shape, generator=random, dtype=torch.float64)
    labels = torch.randint(classes, (batch,), generator=random)
    return student.requires_grad_(), 2 * teacher, labels


def build(kind, classes=5, dtype=torch.float64, **kwargs):
    loss = kind(**ARGUMENTS.get(kind, {}), **kwargs)
    shapes = [tuple(draw(kind, 2, classes)[0].shape)]
    loss.fit(LossInputs('loss_x', shapes, shapes, ['a'], ['b'], None))
    return loss.to(dtype)


def call(loss, student, teacher, labels):
    return loss([student], [teacher], [labels])


def test_there_are_such_losses():
    assert {losses.DKDLoss, losses.NKDLoss, losses.SDDLoss} <= set(LABELLED)


@labelled
def test_mixed_labels_are_refused_or_taken_by_their_largest(kind):
    student, teacher, labels = draw(kind)
    soft = 0.7 * torch.eye(5)[labels] + 0.06
    says = f"{kind.__name__} needs one label a sample.*set soft_targets='argmax'"
    for target in soft, None:
        with pytest.raises(ConfigError, match=says):
            call(build(kind), student, teacher, target)
    mixed = call(build(kind, soft_targets='argmax'), student, teacher, soft)
    assert mixed == call(build(kind), student, teacher, labels)
    other = call(build(kind), student, teacher, (labels + 1) % 5)
    assert abs(mixed - other) > 1e-3


@labelled
def test_says_which_labels_it_takes(kind):
    assert kind().needs == ('labels',)
    assert kind(soft_targets='argmax').needs == ('soft_labels',)
    says = f'{kind.__name__}: soft_targets must be'
    with pytest.raises(ConfigError, match=says):
        kind(soft_targets='mean')


@every
@pytest.mark.parametrize('copies', [1, 2])
def test_order_and_number_of_samples_change_nothing(kind, copies):
    student, teacher, labels = draw(kind)
    order = torch.arange(7, -1, -1).repeat(copies)
    loss = build(kind)
    once = call(loss, student, teacher, labels).item()
    other = call(loss, student[order], teacher[order], labels[order]).item()
    assert other == pytest.approx(once, rel=1e-12)


@every
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('sign', [1, -1])
def test_finite_for_huge_logits(kind, dtype, sign):
    student, teacher, labels = draw(kind)
    student = (student.detach() * 1e4).to(dtype).requires_grad_()
    teacher = (sign * teacher * 1e4).to(dtype)
    value = call(build(kind, dtype=torch.float32), student, teacher, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


@every
def test_half_precision_is_computed_in_float32_under_autocast(kind):
    student, teacher, labels = draw(kind, 64, 100)
    student, teacher = student.detach().bfloat16(), teacher.bfloat16()
    loss = build(kind, 100, torch.float32)
    exact = call(loss, student.float(), teacher.float(), labels)
    with torch.autocast('cpu', torch.bfloat16):
        assert call(loss, student, teacher, labels) == exact


@every
def test_an_empty_selection_gives_a_zero_in_the_graph(kind):
    student, teacher, labels = (item.detach() for item in draw(kind, batch=0))
    value = call(build(kind), student.requires_grad_(), teacher, labels)
    value.backward()
    assert value.item() == 0 and student.grad is not None
