"""Neuron selectivity transfer against its authors' figures, a slow copy of its formula,
and what must hold of it."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmkd.errors import ConfigError
from mmkd.models.losses.base import LossInputs
from mmkd.models.losses.nst_loss import NSTLoss, nst_loss


def draw(student=(4, 3, 8, 8), teacher=(4, 5, 4, 4), seed=0):
    generator = torch.Generator().manual_seed(seed)
    student_maps = torch.randn(student, generator=generator, dtype=torch.float64)
    teacher_maps = torch.randn(teacher, generator=generator, dtype=torch.float64)
    return student_maps.requires_grad_(), teacher_maps


def inputs(student, teacher):
    return LossInputs('nst (NSTLoss on x)', [student], [teacher], ['x'], ['x'], None)


@pytest.mark.golden('neuron_selectivity')
def test_equals_the_authors_figures(golden):
    loss = NSTLoss(**golden.params)
    golden.check(loss([golden.student], [golden.teacher], [None]))


def slow(student, teacher):
    """The squared distance of mean embeddings, which the kernel is a product of."""
    total = 0
    for pair in zip(student, teacher):
        student_mean, teacher_mean = map(_mean_embedding, pair)
        total = total + ((student_mean - teacher_mean) ** 2).sum()
    return total / len(student)


def _mean_embedding(maps):
    """Mean of x x^T over channels: (x.y)^2 is the product of x x^T and y y^T."""
    pixels = [channel.flatten() for channel in maps]
    units = [pixel / (pixel * pixel).sum().sqrt() for pixel in pixels]
    return sum(unit[:, None] * unit[None, :] for unit in units) / len(units)


@pytest.mark.parametrize('pooled', ['student', 'teacher', 'neither'])
def test_equals_the_formula(pooled):
    large = (2, 4, 6, 8)
    student, teacher = draw(
        large if pooled == 'student' else (2, 4, 3, 4),
        large if pooled == 'teacher' else (2, 6, 3, 4),
    )
    fast = nst_loss(student, teacher)
    small = [
        _halved(maps) if maps.shape[2] == 6 else maps for maps in (student, teacher)
    ]
    reference = slow(*small)
    assert fast.item() == pytest.approx(reference.item(), rel=1e-9)
    gradients = [torch.autograd.grad(value, student)[0] for value in (fast, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-15)


def _halved(maps):
    return maps.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean(dim=(3, 5))


def test_zero_where_student_equals_teacher():
    _, teacher = draw()
    student = teacher.clone().requires_grad_()
    value = nst_loss(student, teacher)
    value.backward()
    assert abs(value.item()) < 1e-12 and student.grad.abs().max() < 1e-12


def test_zero_where_channels_are_distributed_alike():
    """Twice the channels, in any order, of any size and sign."""
    _, teacher = draw()
    student = torch.cat([-3 * teacher.flip(1), 2 * teacher], dim=1)
    assert abs(nst_loss(student, teacher).item()) < 1e-12
    student[:, 0] = student[:, 1]
    assert nst_loss(student, teacher).item() > 1e-3


def test_unchanged_by_doubling_and_by_the_order_of_samples():
    student, teacher = draw()
    once = nst_loss(student, teacher).item()
    doubled = nst_loss(torch.cat([student] * 2), torch.cat([teacher] * 2))
    assert doubled.item() == pytest.approx(once, rel=1e-9)
    order = [2, 0, 3, 1]
    assert nst_loss(student[order], teacher[order]).item() == pytest.approx(once)
    assert abs(nst_loss(student[order], teacher).item() - once) > 1e-3


def test_levels_are_summed():
    levels = [draw(), draw((4, 3, 4, 4), (4, 5, 2, 2), seed=1)]
    both = NSTLoss()(*map(list, zip(*levels)), [None, None])
    assert both.item() == pytest.approx(
        sum(nst_loss(*level).item() for level in levels)
    )


class LargestTensor(TorchDispatchMode):
    """Remembers how many elements the largest result has."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numel = max(self.numel, result.numel())
        return result


def test_memory_is_no_product_of_channels_and_pixels():
    student, teacher = draw((2, 16, 8, 8), (2, 32, 8, 8))
    with LargestTensor() as largest:
        nst_loss(student, teacher).backward()
    assert largest.numel == 2 * 32 * 8 * 8


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_exact_for_huge_features(dtype):
    student, teacher = ((maps.detach() * 1e4).to(dtype) for maps in draw())
    value = NSTLoss()([student.requires_grad_()], [teacher], [None])
    value.backward()
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    exact = nst_loss(student.double(), teacher.double())
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


def test_a_dead_channel_has_no_gradient():
    student, teacher = draw()
    student = student.detach()
    student[:, 1] = 0
    value = nst_loss(student.requires_grad_(), teacher)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    assert student.grad[:, 1].abs().max() == 0 < student.grad[:, 0].abs().max()


def test_refuses_what_it_cannot_compare():
    NSTLoss().fit(inputs((2, 8, 4, 4), (2, 16, 8, 8)))
    with pytest.raises(ConfigError, match=r'^nst .*\(2, 16\).*choose a stage'):
        NSTLoss().fit(inputs((2, 8, 4, 4), (2, 16)))
    with pytest.raises(ConfigError, match='^nst .*2 samples .* 6'):
        NSTLoss().fit(inputs((2, 8, 4, 4), (6, 16, 8, 8)))
