"""Two views of a batch."""

import random

import numpy as np
import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.models.crop_flip_preprocessor import CropFlipPreprocessor
from mmkd.models.weak_strong_preprocessor import WeakStrongPreprocessor
from mmkd.testing import classification_batch

STATS = dict(mean=[129.0, 124.0, 112.0], std=[68.0, 65.0, 70.0])


def views(seed=0, n=8, build=WeakStrongPreprocessor, **kwargs):
    torch.manual_seed(seed)
    data = build(**STATS, **kwargs)(classification_batch(n), True)
    return data['inputs'], data['data_samples']


def test_weak_half_is_what_the_parent_gives():
    expected, _ = views(build=CropFlipPreprocessor)
    inputs, _ = views()
    assert inputs.shape == (16, 3, 32, 32)
    assert torch.equal(inputs[:8], expected)


def test_strong_half_is_another_view():
    inputs, _ = views()
    for weak, strong in zip(inputs[:8], inputs[8:]):
        assert not torch.equal(weak, strong)


def test_strong_half_has_a_crop_and_a_flip_of_its_own():
    inputs, _ = views(num_ops=0)
    assert not torch.equal(inputs[8:], inputs[:8])
    plain, _ = views(num_ops=0, padding=0, flip_prob=0.0)
    assert torch.equal(plain[8:], plain[:8])


def test_magnitude_is_the_strength_of_the_operations():
    weak, strong = (
        views(n=32, magnitude=magnitude, padding=0, flip_prob=0.0)[0]
        for magnitude in (1, 30)
    )
    moved = [(images[32:] - images[:32]).abs().mean() for images in (weak, strong)]
    assert moved[1] > 1.2 * moved[0]


def test_labels_line_up():
    _, samples = views()
    labels = [
        sample.gt_label.item() for sample in classification_batch(8)['data_samples']
    ]
    assert [sample.gt_label.item() for sample in samples] == 2 * labels
    assert len({id(sample) for sample in samples}) == 16


def test_evaluation_is_the_parents():
    expected = CropFlipPreprocessor(**STATS)(classification_batch(8))
    data = WeakStrongPreprocessor(**STATS)(classification_batch(8))
    assert torch.equal(data['inputs'], expected['inputs'])
    assert len(data['data_samples']) == 8


def test_the_seed_of_torch_alone_reproduces_it():
    random.seed(1), np.random.seed(1)
    once, _ = views(seed=3)
    random.seed(2), np.random.seed(2)
    again, _ = views(seed=3)
    other, _ = views(seed=4)
    assert torch.equal(once, again) and not torch.equal(once, other)


def test_colours_are_those_of_rgb_where_images_are_bgr():
    rgb, _ = views()
    torch.manual_seed(0)
    batch = classification_batch(8)
    batch['inputs'] = batch['inputs'].flip(1)
    build = WeakStrongPreprocessor(to_rgb=True, **STATS)
    assert torch.equal(build(batch, True)['inputs'], rgb)


def test_batch_augments_apply_to_both_views():
    mixup = dict(augments=[dict(type='mmpretrain.Mixup', alpha=0.8)])
    _, samples = views(
        num_classes=10, to_onehot=True, batch_augments=mixup, padding=0, flip_prob=0.0
    )
    scores = torch.stack([sample.gt_score for sample in samples])
    assert scores.shape == (16, 10)
    assert torch.allclose(scores.sum(dim=1), torch.ones(16))
    assert (scores.max(dim=1).values < 1).any()


@pytest.mark.parametrize(
    'images', [torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)]
)
def test_other_images_are_refused(images):
    batch = dict(classification_batch(2), inputs=images)
    with pytest.raises(ConfigError, match='uint8 images of three channels'):
        WeakStrongPreprocessor(**STATS)(batch, True)


@pytest.mark.parametrize(
    'wrong', [dict(num_ops=-1), dict(magnitude=31), dict(padding=-1)]
)
def test_values_out_of_range(wrong):
    with pytest.raises(ConfigError, match='must not be negative'):
        WeakStrongPreprocessor(**wrong)
