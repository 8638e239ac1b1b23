"""FitNet's hint loss: its formula, and what must hold of it."""

import pytest
import torch

from mmkd.models import Distiller
from mmkd.models.losses import FitNetLoss
from mmkd.testing import toy_classifier


def draw(*shape):
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, *shape, generator=random, dtype=torch.float64)
    return student.requires_grad_(), teacher


def call(student, teacher):
    return FitNetLoss()([student], [teacher], [None])


@pytest.mark.parametrize('shape', [(4, 3, 5, 2), (4, 6)])
def test_averages_squared_differences_over_all_elements(shape):
    student, teacher = draw(*shape)
    value = call(student, teacher)
    value.backward()
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist())
    gaps = [a - b for a, b in pairs]
    expected = sum(gap**2 for gap in gaps) / len(gaps)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    gradient = [2 * gap / len(gaps) for gap in gaps]
    assert student.grad.flatten().tolist() == pytest.approx(gradient, rel=1e-12)


def test_zero_where_both_are_equal():
    _, teacher = draw(4, 3, 5, 5)
    student = teacher.clone().requires_grad_()
    value = call(student, teacher)
    value.backward()
    assert value == 0 and not student.grad.any()


def test_unchanged_by_doubling_the_batch_and_by_the_order_of_samples():
    student, teacher = draw(4, 3, 5, 5)
    once = call(student, teacher).item()
    doubled = call(torch.cat([student, student]), torch.cat([teacher, teacher]))
    assert doubled.item() == pytest.approx(once, rel=1e-12)
    assert call(student.flip(0), teacher.flip(0)).item() == pytest.approx(once)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_for_huge_features(dtype):
    student, teacher = (side.detach().clamp(-3, 3) * 1e4 for side in draw(4, 3, 5, 5))
    student = student.to(dtype).requires_grad_()
    value = call(student, -teacher.to(dtype))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize(
    'adapter, parts',
    [
        ('auto', ['weight', 'bias']),
        (
            dict(type='ConvNormAdapter', relu=True),
            ['0.weight', '1.weight', '1.bias'],
        ),
    ],
)
def test_an_adapter_maps_the_students_channels(adapter, parts):
    model = Distiller(
        toy_classifier(),
        dict(
            loss_fitnet=dict(
                type='FitNetLoss', on=dict(student='backbone.layer2', adapter=adapter)
            )
        ),
        teacher=dict(config=toy_classifier(width=12), allow_untrained=True),
    )
    learned = [name for name, _ in model.distill.named_parameters()]
    assert learned == [f'loss_fitnet.adapters.0.{part}' for part in parts]
