"""Batched augmentation: the distribution of the per-image pipeline."""

from collections import Counter

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import MODELS
from mmpretrain.models import ClsDataPreprocessor

from mmkd.errors import ConfigError
from mmkd.models.crop_flip_preprocessor import random_crop, random_flip
from mmkd.testing import classification_batch

STATS = dict(mean=[129.0, 124.0, 112.0], std=[68.0, 65.0, 70.0])


def preprocessor(**kwargs):
    return MODELS.build(dict(type='mmkd.CropFlipPreprocessor', **STATS, **kwargs))


def counts(images):
    return Counter(image.numpy().tobytes() for image in images)


def distance(actual, expected, number):
    """Chi-squared over its degrees of freedom; about 1 for equal distributions."""
    share = number / len(expected)
    square = sum((actual[key] - share) ** 2 / share for key in expected)
    return square / (len(expected) - 1)


def test_outcomes_are_those_of_the_pipeline_and_as_likely():
    """Size 6, padding 2: 25 windows, mirrored or not."""
    number, size, padding = 10_000, 6, 2
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, size=(size, size, 3), dtype=np.uint8)
    padded = np.pad(image, [(padding, padding)] * 2 + [(0, 0)])
    every = [
        padded[top : top + size, left : left + size][:, ::step]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
        for step in (1, -1)
    ]
    every = {
        np.ascontiguousarray(window.transpose(2, 0, 1)).tobytes() for window in every
    }
    assert len(every) == 50

    torch.manual_seed(0)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    batched = random_flip(
        random_crop(tensor.expand(number, 3, size, size), padding), 0.5
    )
    batched = counts(batched)

    pipeline = Compose(
        [
            dict(type='mmpretrain.RandomCrop', crop_size=size, padding=padding),
            dict(type='mmcv.RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='mmpretrain.PackInputs'),
        ]
    )
    np.random.seed(0)
    draws = (pipeline(dict(img=image.copy(), gt_label=0)) for _ in range(2000))
    stock = counts(draw['inputs'] for draw in draws)

    assert set(batched) == set(stock) == every
    # 49 degrees of freedom: beyond 1.8 with a probability below 0.001.
    assert distance(batched, every, number) < 1.8
    assert distance(stock, every, 2000) < 1.8


def test_each_image_has_its_own_draw():
    torch.manual_seed(0)
    image = torch.arange(1, 49).reshape(1, 3, 4, 4)
    cropped = random_crop(image.expand(64, 3, 4, 4), 2)
    assert len(cropped.unique(dim=0)) > 15


def test_is_the_stock_preprocessor_but_for_the_augmentation():
    stock = ClsDataPreprocessor(**STATS)
    batch = classification_batch(8)
    for preprocess, training in ((preprocessor(), False), (still(), True)):
        actual = preprocess(classification_batch(8), training)
        expected = stock(batch, training)
        assert torch.equal(actual['inputs'], expected['inputs'])
        labels = [sample.gt_label for sample in actual['data_samples']]
        assert labels == [sample.gt_label for sample in expected['data_samples']]


def still():
    return preprocessor(padding=0, flip_prob=0.0)


def test_border_is_black_not_grey():
    """Black is what the pipeline pads with, before it normalises."""
    torch.manual_seed(0)
    batch = classification_batch(16)
    batch['inputs'] = torch.full_like(batch['inputs'], 255)
    inputs = preprocessor(flip_prob=0.0)(batch, True)['inputs']
    for channel in range(3):
        values = inputs[:, channel].unique().tolist()
        mean, std = STATS['mean'][channel], STATS['std'][channel]
        assert values == pytest.approx([(0 - mean) / std, (255 - mean) / std])


@pytest.mark.parametrize('wrong', [dict(padding=-1), dict(flip_prob=1.5)])
def test_values_out_of_range(wrong):
    with pytest.raises(ConfigError, match='CropFlipPreprocessor'):
        preprocessor(**wrong)
