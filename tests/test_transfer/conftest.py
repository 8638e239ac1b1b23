"""Small networks and images for the tests of features."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.datasets import BaseDataset

from mmkd.configs import load_config
from mmkd.models.stock_network import build_network
from mmkd.testing import toy_classifier

DIGITS = dict(dataset=dict(type='mmkd.DigitImages', split='test'))


class Arrays(BaseDataset):
    """Images in memory."""

    def __init__(self, images):
        self.images = images
        super().__init__(ann_file='', serialize_data=False)

    def load_data_list(self):
        return [dict(img=image, gt_label=0) for image in self.images]


class Files(BaseDataset):
    """Images in files."""

    def __init__(self, paths):
        self.paths = paths
        super().__init__(ann_file='', serialize_data=False)

    def load_data_list(self):
        return [dict(img_path=str(path), gt_label=0) for path in self.paths]


@pytest.fixture(scope='session')
def datasets():
    """The two kinds of data sets: images in memory, images in files."""
    return Arrays, Files


@pytest.fixture(scope='session')
def noise():
    """Makes random images ``(N, size, size, 3)``."""

    def make(number, size=32, seed=0):
        shape = (number, size, size, 3)
        return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)

    return make


@pytest.fixture(scope='session')
def toy_config():
    """A small classifier that is tested on digits."""
    return Config(
        dict(default_scope='mmpretrain', model=toy_classifier(), test_dataloader=DIGITS)
    )


@pytest.fixture(scope='session')
def vit_config():
    """A small vision transformer."""
    backbone = dict(
        type='VisionTransformer',
        arch=dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=32),
        img_size=32,
        patch_size=8,
    )
    head = dict(type='VisionTransformerClsHead', num_classes=10, in_channels=24)
    model = dict(type='ImageClassifier', backbone=backbone, head=head)
    stats = dict(mean=[120.0] * 3, std=[60.0] * 3, to_rgb=False)
    return Config(
        dict(
            default_scope='mmpretrain',
            model=model,
            data_preprocessor=stats,
            test_dataloader=DIGITS,
        )
    )


@pytest.fixture(scope='session')
def imagenet_config():
    """mmpretrain's own ResNet-18."""
    return load_config('mmpretrain::resnet/resnet18_8xb32_in1k.py')


@pytest.fixture
def trained(tmp_path):
    """Saves weights of a config as those of a training; gives the file's path."""

    def save(config, name='net', seed=0, **meta):
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            model = build_network(copy.deepcopy(config))
            for key, buffer in model.named_buffers():
                if key.endswith(('running_mean', 'running_var')):
                    buffer.copy_(torch.rand_like(buffer) + 0.5)
        path = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
        return str(path)

    return save
