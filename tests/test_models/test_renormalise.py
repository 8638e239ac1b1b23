"""The teacher sees what its own preprocessor would have made."""

import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmpretrain.models import ClsDataPreprocessor

from mmkd.models.renormalise import InputStats, Renormalise

PYTORCH = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0])


def images(*sizes):
    generator = torch.Generator().manual_seed(0)
    shape = dict(dtype=torch.uint8, generator=generator)
    inputs = [torch.randint(0, 256, (3, *size), **shape) for size in sizes]
    samples = [DetDataSample(metainfo=dict(img_shape=size)) for size in sizes]
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize('pad_value', [0, 3])
@pytest.mark.parametrize(
    'student, teacher',
    [
        (dict(PYTORCH, bgr_to_rgb=True), dict(CAFFE, bgr_to_rgb=False)),
        (dict(CAFFE, bgr_to_rgb=False), dict(PYTORCH, bgr_to_rgb=True)),
        (dict(PYTORCH, bgr_to_rgb=True), dict()),
        (dict(), dict(PYTORCH, bgr_to_rgb=True)),
    ],
)
def test_equals_the_teachers_own_preprocessing_padding_included(
    student, teacher, pad_value
):
    student = DetDataPreprocessor(**student, pad_size_divisor=32)
    teacher = DetDataPreprocessor(**teacher, pad_size_divisor=32, pad_value=pad_value)
    data = student(images((40, 61), (64, 50)), training=True)
    expected = teacher(images((40, 61), (64, 50)), training=True)['inputs']
    before = data['inputs'].clone()
    renormalised = Renormalise(student, teacher)(**data)
    assert renormalised.shape == expected.shape == (2, 3, 64, 64)
    torch.testing.assert_close(renormalised, expected, rtol=1e-5, atol=1e-3)
    assert torch.equal(data['inputs'], before)
    # The check can fail: without renormalisation the two differ a lot.
    assert (data['inputs'] - expected).abs().max() > 1


@pytest.mark.parametrize('divisor', [32, 48, 128])
@pytest.mark.parametrize('stats', [PYTORCH, CAFFE])
def test_a_teacher_that_pads_otherwise_sees_its_own_border(stats, divisor):
    student = DetDataPreprocessor(**PYTORCH, pad_size_divisor=32)
    teacher = DetDataPreprocessor(**stats, pad_size_divisor=divisor, pad_value=7)
    data = student(images((40, 61), (64, 50)), training=True)
    expected = teacher(images((40, 61), (64, 50)), training=True)['inputs']
    before = data['inputs'].clone()
    renormalise = Renormalise(student, teacher)
    padded = renormalise.pad(renormalise(**data))
    torch.testing.assert_close(padded, expected, rtol=1e-5, atol=1e-3)
    assert torch.equal(data['inputs'], before)


def test_classifiers():
    student = ClsDataPreprocessor(**PYTORCH, to_rgb=True)
    teacher = ClsDataPreprocessor(mean=[128.0] * 3, std=[64.0] * 3, to_rgb=False)
    batch = torch.stack(images((8, 8), (8, 8))['inputs'])
    inputs = student(dict(inputs=batch))['inputs']
    expected = teacher(dict(inputs=batch))['inputs']
    renormalised = Renormalise(student, teacher)(inputs)
    torch.testing.assert_close(renormalised, expected, rtol=1e-5, atol=1e-5)


def test_equal_statistics_cost_nothing():
    make = lambda: DetDataPreprocessor(**PYTORCH, bgr_to_rgb=True)  # noqa: E731
    inputs = torch.randn(2, 3, 8, 8)
    assert Renormalise(make(), make())(inputs) is inputs


def test_statistics_are_shown():
    stats = InputStats.of(DetDataPreprocessor(**CAFFE))
    assert str(stats) == 'mean 103.53/116.28/123.675, std 1/1/1, channels as loaded'
