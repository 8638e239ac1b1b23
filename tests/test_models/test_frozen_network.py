"""Networks that only answer: one way to build them, whoever asks."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmkd.errors import CheckpointError
from mmkd.models.backbones import FrozenBackbone
from mmkd.models.frozen_network import frozen_network
from mmkd.models.stock_network import build_network
from mmkd.models.teacher import Teacher
from mmkd.testing import toy_classifier
from mmkd.transfer import Network


def network_of_the_probe(config, checkpoint):
    whole = Config(dict(default_scope='mmpretrain', model=config))
    return Network(whole, checkpoint, input_size=32, device='cpu').model


MAKERS = dict(
    teacher=lambda *args: Teacher(*args).model,
    backbone=lambda *args: FrozenBackbone(*args).network,
    probe=network_of_the_probe,
)


@pytest.fixture
def saved(tmp_path):
    """A classifier's config and its weights, as a DDP run of others saves them."""
    config = toy_classifier()
    weights = build_network(config).state_dict()
    path = str(tmp_path / 'net.pth')
    torch.save(dict(model={f'module.{k}': v for k, v in weights.items()}), path)
    return config, path, weights


@pytest.mark.parametrize('maker', MAKERS)
def test_has_its_weights_and_is_frozen(maker, saved):
    config, path, weights = saved
    model = MAKERS[maker](config, path)
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in weights.items())
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize('maker', MAKERS)
def test_no_batch_norm_waits_for_other_processes(maker, saved):
    config, path, _ = saved
    config.backbone.norm_cfg = dict(type='SyncBN', requires_grad=True)
    model = MAKERS[maker](config, path)
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize('source', [None, 'a.py'])
def test_a_plain_backbone_takes_a_classifiers_weights(source, saved):
    config, path, weights = saved
    backbone = dict(default_scope='mmpretrain', model=config.backbone)
    model, classes = frozen_network(backbone, path, 'it', source)
    assert torch.equal(model.conv1.weight, weights['backbone.conv1.weight'])
    assert classes is None
    del backbone['model']['base_channels']
    about = ', a.py' if source else ''
    with pytest.raises(CheckpointError, match=rf'fit it \(ResNet{about}\): size'):
        frozen_network(backbone, path, 'it', source)
