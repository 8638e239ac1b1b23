"""Relational distillation against its authors' figures, a slow copy of its formula, and
what must hold of it."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.rkd_loss import RKDLoss, rkd_loss


def draw(student=(5, 4), teacher=(5, 7), seed=0):
    generator = torch.Generator().manual_seed(seed)
    student_features = torch.randn(student, generator=generator, dtype=torch.float64)
    teacher_features = torch.randn(teacher, generator=generator, dtype=torch.float64)
    return student_features.requires_grad_(), teacher_features


@pytest.mark.golden('relational')
def test_equals_the_authors_figures(golden):
    loss = RKDLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [None]))


def slow(student, teacher, distance_weight, angle_weight):
    count, distance_part, angle_part = len(student), 0, 0
    of_student, of_teacher = map(_distances, (student, teacher))
    for i in range(count):
        for j in range(count):
            if j == i:
                continue
            distance_part = distance_part + huber(of_student[i, j] - of_teacher[i, j])
            for k in range(count):
                if k == i:
                    continue
                angles = [_angle(side, i, j, k) for side in (student, teacher)]
                angle_part = angle_part + huber(angles[0] - angles[1])
    return (
        distance_weight * distance_part / count**2
        + angle_weight * angle_part / count**3
    )


def huber(error):
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


def _distances(features):
    pairs = [(i, j) for i in range(len(features)) for j in range(i)]
    lengths = [_length(features[i] - features[j]) for i, j in pairs]
    mean = sum(lengths) / sum(length > 0 for length in lengths)
    result = {pair: length / mean for pair, length in zip(pairs, lengths)}
    return {**result, **{(j, i): result[i, j] for i, j in pairs}}


def _angle(features, i, j, k):
    to_j, to_k = features[j] - features[i], features[k] - features[i]
    lengths = _length(to_j) * _length(to_k)
    return (to_j * to_k).sum() / lengths if lengths else 0.0


def _length(vector):
    square = (vector**2).sum()
    return square**0.5 if square else 0.0


# With a size of 100 a distance is beyond the bend of the Huber loss; two of zero are
# equal samples.
@pytest.mark.parametrize('sizes', [[1, 1, 1, 1, 1], [1, 1, 1, 1, 100], [1, 0, 1, 0, 1]])
@pytest.mark.parametrize('weights', [(25, 50), (1, 0), (0, 1)])
def test_equals_the_formula(weights, sizes):
    student, teacher = draw()
    student = (student.detach() * torch.tensor(sizes)[:, None]).requires_grad_()
    fast, reference = (loss(student, teacher, *weights) for loss in (rkd_loss, slow))
    assert fast.item() == pytest.approx(reference.item(), rel=1e-9)
    gradients = [torch.autograd.grad(value, student)[0] for value in (fast, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-13)


def test_zero_where_relations_are_equal():
    """Also at another scale and place, and in other coordinates."""
    _, teacher = draw()
    rotation = torch.linalg.qr(draw((7, 7))[0].detach())[0]
    student = (3 * teacher @ rotation + 8).requires_grad_()
    value = rkd_loss(student, teacher, 25, 50)
    value.backward()
    assert value.item() < 1e-15 and student.grad.abs().max() < 1e-12


def test_unchanged_by_doubling_and_by_the_order_of_samples():
    """Equal samples have no distance and no angle, so that copies say nothing new."""
    student, teacher = draw()
    once, order = rkd_loss(student, teacher, 25, 50).item(), [2, 0, 3, 1, 4]
    doubled = rkd_loss(torch.cat([student] * 2), torch.cat([teacher] * 2), 25, 50)
    assert doubled.item() == pytest.approx(once, rel=1e-9)
    shuffled = rkd_loss(student[order], teacher[order], 25, 50)
    assert shuffled.item() == pytest.approx(once, rel=1e-9)
    assert abs(rkd_loss(student[order], teacher, 25, 50).item() - once) > 1e-2


def test_two_equal_samples_have_a_moderate_gradient():
    student, teacher = draw()
    student = student.detach()
    student[2] = student[0]
    value = rkd_loss(student.requires_grad_(), teacher, 25, 50)
    value.backward()
    assert value.isfinite() and 0 < student.grad.abs().max() < 100


def test_equal_samples_alone_have_no_gradient():
    student, teacher = torch.ones(5, 4, requires_grad=True), draw()[1].float()
    value = rkd_loss(student, teacher, 25, 50)
    value.backward()
    assert value.isfinite() and student.grad.abs().max() == 0


@pytest.mark.parametrize('count', [1, 2])
def test_a_batch_too_small_gives_nothing(count):
    """One sample has no distance; of two, it is the mean, and the only angle is 0."""
    student, teacher = draw((count, 4), (count, 7))
    value = RKDLoss()([student], [teacher], [None])
    value.backward()
    assert abs(value.item()) < 1e-15 and student.grad.abs().max() < 1e-14


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_exact_for_huge_features(dtype):
    student, teacher = ((features.detach() * 1e4).to(dtype) for features in draw())
    value = RKDLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    exact = rkd_loss(student.double(), teacher.double(), 25, 50)
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


def test_exact_for_close_samples_far_from_the_origin():
    student, teacher = draw()
    student = (student.detach() + 1e4).float()
    value = rkd_loss(student, teacher.float(), 25, 50)
    exact = rkd_loss(student.double(), teacher, 25, 50)
    assert value.item() == pytest.approx(exact.item(), rel=1e-4)


def test_refuses_what_it_cannot_compare():
    inputs = LossInputs('rkd (RKDLoss on x)', [(2, 8)], [(2, 9)], ['x'], ['x'], None)
    RKDLoss().fit(inputs)
    with pytest.raises(ConfigError, match=r"^rkd .*\(2, 8, 4, 4\).*'neck'"):
        RKDLoss().fit(inputs._replace(student=[(2, 8, 4, 4)]))
    with pytest.raises(ConfigError, match='^rkd .*2 samples .* 6'):
        RKDLoss().fit(inputs._replace(teacher=[(6, 9)]))


@pytest.mark.parametrize('name', ['distance_weight', 'angle_weight'])
def test_bad_arguments_are_refused_when_building(name):
    with pytest.raises(ConfigError, match=f'{name} must be'):
        RKDLoss(**{name: -1})
