"""Networks of stock configs: what is built, and the feature before the logits."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from mmkd.errors import ConfigError
from mmkd.models.stock_network import build_network, pooled
from mmkd.testing import toy_classifier, toy_detector

BACKBONE = dict(type='mmkd.CIFARResNet', depth=8)
STATS = dict(type='ClsDataPreprocessor', mean=[1.0] * 3, std=[2.0] * 3)
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def whole(model, **more):
    return dict(default_scope='mmpretrain', model=model, **more)


def classifier(head, **parts):
    return build_network(
        whole(dict(type='ImageClassifier', backbone=BACKBONE, head=head, **parts))
    )


class TestBuildNetwork:
    @pytest.mark.parametrize('read', [Config, dict, str])
    def test_of_a_distiller_is_its_student(self, read, tmp_path):
        student = toy_classifier(classes=7)
        config = Config(whole(dict(type='mmkd.Distiller', student=student, losses={})))
        config.dump(tmp_path / 'config.py')
        given = str(tmp_path / 'config.py') if read is str else read(config.to_dict())
        network = build_network(given)
        assert type(network).__name__ == 'ImageClassifier'
        assert network.head.fc.out_features == 7

    @pytest.mark.parametrize('read', [Config, dict])
    def test_leaves_the_config_as_it_is(self, read):
        # mmpretrain writes the type of a preprocessor into what it is given.
        statistics = dict(mean=[1.0] * 3, std=[2.0] * 3)
        model = dict(
            type='ImageClassifier', backbone=BACKBONE, data_preprocessor=statistics
        )
        config = read(whole(model))
        before = copy.deepcopy(config)
        build_network(config)
        assert dict(config) == dict(before)

    def test_gets_the_configs_preprocessor_where_it_has_none(self):
        model = toy_classifier()
        own = model.data_preprocessor.mean[0]
        network = build_network(whole(model, data_preprocessor=STATS))
        assert network.data_preprocessor.mean.flatten()[0] == pytest.approx(own)
        del model['data_preprocessor']
        network = build_network(whole(model, data_preprocessor=STATS))
        assert network.data_preprocessor.mean.flatten().tolist() == [1, 1, 1]
        distiller = dict(type='mmkd.Distiller', student=model, losses={})
        network = build_network(whole(dict(distiller, data_preprocessor=STATS)))
        assert network.data_preprocessor.mean.flatten().tolist() == [1, 1, 1]

    def test_plain_backbone_gets_none(self):
        network = build_network(whole(BACKBONE, data_preprocessor=STATS))
        assert type(network).__name__ == 'CIFARResNet'
        assert not hasattr(network, 'data_preprocessor')

    def test_names_whose_config_has_no_model(self):
        with pytest.raises(ConfigError, match='the probe config has no model.* lr'):
            build_network(dict(lr=1), 'the probe')


class TestPooled:
    def test_is_what_goes_into_the_linear_layer(self):
        network = MODELS.build(toy_classifier()).eval()
        feature = pooled(network, IMAGES)
        assert feature.shape == (2, network.head.fc.in_features)
        torch.testing.assert_close(network.head.fc(feature), network(IMAGES))

    def test_of_a_backbone_is_the_mean_over_positions(self):
        network = build_network(BACKBONE).eval()
        last = network(IMAGES)[-1]
        expected = torch.stack([image.flatten(1).mean(1) for image in last])
        torch.testing.assert_close(pooled(network, IMAGES), expected)

    @pytest.mark.parametrize(
        'output, expected',
        [
            (torch.tensor([[[0.0, 2.0], [4.0, 4.0]]]), [[2.0, 3.0]]),  # tokens
            (torch.tensor([[5.0, 6.0]]), [[5.0, 6.0]]),
        ],
    )
    def test_of_other_outputs(self, output, expected):
        class Puts(nn.Module):
            def forward(self, inputs):
                return torch.zeros(1), output

        assert pooled(Puts(), IMAGES).tolist() == expected

    @pytest.mark.parametrize(
        'build',
        [
            lambda: build_network(toy_detector()),
            lambda: classifier(None),
            # The backbone's logits are no feature.
            lambda: classifier(
                dict(type='ClsHead'), neck=dict(type='GlobalAveragePooling')
            ),
            # A map: there is no neck that pools it.
            lambda: classifier(
                dict(type='LinearClsHead', in_channels=64, num_classes=5)
            ),
        ],
        ids=['detector', 'no head', 'head without a layer', 'map'],
    )
    def test_refuses_what_has_no_such_feature(self, build):
        with pytest.raises(ConfigError, match='gives no feature'):
            pooled(build().eval(), IMAGES)
