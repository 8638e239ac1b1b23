"""Network: frozen, fed as in its own test, and told apart by all that matters."""

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmkd.configs import build_model, load_config
from mmkd.datasets.read_image import read_image
from mmkd.errors import CheckpointError, ConfigError
from mmkd.testing import toy_detector
from mmkd.transfer import Network

IMAGES = torch.randint(
    256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
LAYERS = ['backbone.layer1', 'backbone.layer3', 'pooled', 'logits']


@pytest.fixture
def network(toy_config, trained):
    return Network(toy_config, trained(toy_config), device='cpu')


def changed(config, **values):
    config = copy.deepcopy(config)
    config.merge_from_dict(values)
    return config


def distiller(config, **more):
    """A Distiller's config, whose teacher's checkpoint is nowhere."""
    config = copy.deepcopy(config)
    config.model = ConfigDict(
        type='mmkd.Distiller',
        student=config.model,
        teacher=dict(config='nowhere.py', checkpoint='nowhere.pth'),
        losses=dict(loss_kd=dict(type='KDLoss', on='logits')),
        **more,
    )
    return config


def state(model):
    tensors = dict(model.named_parameters(), **dict(model.named_buffers()))
    return {key: tensor.clone() for key, tensor in tensors.items()}


def recorded(model, module, call):
    """Return the inputs and outputs of a module, at each of its calls."""
    calls = []
    hook = model.get_submodule(module).register_forward_hook(
        lambda _, args, output: calls.append((*args, output))
    )
    call()
    hook.remove()
    return calls


class TestFrozen:
    def test_nothing_changes(self, network):
        model, before = network.model, state(network.model)
        assert any('running_mean' in key for key in before)
        for _ in range(5):
            network.features(IMAGES, LAYERS)
        after = state(model)
        assert all(torch.equal(after[key], before[key]) for key in before)
        assert len(before) == len(after)
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not any(module._forward_hooks for module in model.modules())

    def test_an_image_has_its_features_in_any_company(self, network):
        alone = [
            network.features(image[None], ['pooled'])['pooled'] for image in IMAGES
        ]
        together = network.features(IMAGES, ['pooled'])['pooled']
        torch.testing.assert_close(torch.cat(alone), together)
        assert not together.requires_grad and together.dtype == torch.float32


class TestFeatures:
    def test_are_those_of_mmpretrains_own_test(self, tmp_path, imagenet_config):
        """Its data set, pipeline, collation, preprocessor and model."""
        torch.manual_seed(0)
        stock = build_model(imagenet_config).eval()
        torch.save(stock.state_dict(), tmp_path / 'net.pth')
        rng = np.random.default_rng(0)
        (tmp_path / 'images' / 'class').mkdir(parents=True)
        for number, size in enumerate([(300, 260), (90, 130)]):
            colours = Image.fromarray(rng.integers(256, size=(4, 4, 3), dtype=np.uint8))
            colours.resize(size).save(tmp_path / f'images/class/{number}.png')
        pipeline = imagenet_config.test_dataloader.dataset.pipeline
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset = DATASETS.build(
                dict(
                    type='CustomDataset',
                    data_root=str(tmp_path / 'images'),
                    pipeline=copy.deepcopy(pipeline),
                )
            )
        batch = stock.data_preprocessor(default_collate([dataset[0], dataset[1]]))
        with torch.no_grad():
            logits = stock(batch['inputs'], mode='tensor')
            feature = stock.extract_feat(batch['inputs'], stage='pre_logits')

        network = Network(imagenet_config, str(tmp_path / 'net.pth'), device='cpu')
        images = [
            network.transform(read_image(dataset.get_data_info(i))) for i in (0, 1)
        ]
        given = network.features(
            torch.from_numpy(np.stack(images)), ['pooled', 'logits']
        )
        assert torch.equal(given['pooled'], feature)
        assert torch.equal(given['logits'], logits)
        assert feature.std() > 0.01

    def test_pooled_is_what_goes_into_the_linear_layer(self, network):
        given = {}
        calls = recorded(
            network.model,
            'head.fc',
            lambda: given.update(network.features(IMAGES, ['pooled', 'logits'])),
        )
        assert torch.equal(given['pooled'], calls[0][0])
        assert torch.equal(given['logits'], calls[0][1])

    def test_logits_are_the_models(self, network):
        inputs = network.model.data_preprocessor(dict(inputs=IMAGES))['inputs']
        expected = network.model(inputs, mode='tensor')
        assert torch.equal(network.features(IMAGES, ['logits'])['logits'], expected)

    def test_several_layers_take_one_pass(self, network):
        given = {}
        calls = recorded(
            network.model,
            'backbone',
            lambda: given.update(network.features(IMAGES, LAYERS)),
        )
        assert len(calls) == 1
        assert list(given) == LAYERS
        assert [given[name].shape for name in LAYERS] == [
            (6, 8),
            (6, 32),
            (6, 64),
            (6, 10),
        ]
        for name in LAYERS:
            alone = network.features(IMAGES, [name])
            assert list(alone) == [name] and torch.equal(alone[name], given[name])

    def test_maps_are_averaged_over_positions(self, network):
        calls = recorded(
            network.model,
            'backbone.layer3',
            lambda: network.features(IMAGES, ['pooled']),
        )
        expected = calls[0][1].flatten(2).mean(2)
        given = network.features(IMAGES, ['backbone.layer3'])['backbone.layer3']
        torch.testing.assert_close(given, expected)

    def test_modules_of_the_head(self, network):
        given = network.features(IMAGES, ['head.fc'])['head.fc']
        assert torch.equal(given, network.features(IMAGES, ['logits'])['logits'])

    def test_the_channels_are_those_of_the_loader(self, toy_config):
        """A config of files: its network takes BGR, and flips it."""
        load, pack = dict(type='LoadImageFromFile'), dict(type='PackInputs')
        files = dict(dataset=dict(type='ImageNet', pipeline=[load, pack]))
        config = copy.deepcopy(toy_config)
        config.test_dataloader = files
        rgb = IMAGES[0].permute(1, 2, 0).numpy()
        network = Network(config, device='cpu')
        inputs = []
        network.model.backbone.register_forward_pre_hook(
            lambda _, args: inputs.append(args[0])
        )
        network.features(torch.from_numpy(network.transform(rgb))[None], ['pooled'])
        torch.testing.assert_close(inputs[0], (IMAGES[:1] - 127.5) / 64.0)

    def test_a_vision_transformer(self, vit_config, trained):
        network = Network(vit_config, trained(vit_config), device='cpu')
        given = {}
        calls = recorded(
            network.model,
            'backbone.layers.1',
            lambda: given.update(
                network.features(IMAGES, ['pooled', 'logits', 'backbone.layers.1'])
            ),
        )
        tokens = calls[0][-1]
        assert tokens.shape == (6, 17, 24)
        torch.testing.assert_close(given['backbone.layers.1'], tokens.mean(1))
        expected = network.model.head.layers.head(given['pooled'])
        torch.testing.assert_close(given['logits'], expected)
        inputs = network.model.data_preprocessor(dict(inputs=IMAGES))['inputs']
        (token,) = network.model.extract_feat(inputs)
        torch.testing.assert_close(given['pooled'], token)

    @pytest.mark.parametrize(
        'layer, message',
        [
            (
                'backbone.layer9',
                r'net \(ImageClassifier\) has no module.*closest: .*lay',
            ),
            ('', r"no module ''; closest: "),
            ('backbone.layer1.0.bn1', 'changed in place by a later module'),
        ],
    )
    def test_layers_that_give_nothing(self, toy_config, layer, message):
        with pytest.raises(ConfigError, match=message):
            Network(toy_config, name='net').features(IMAGES, ['pooled', layer])

    def test_outputs_that_are_no_vectors(self, network):
        network.model.head.fc.register_forward_hook(lambda *_: torch.zeros(6))
        with pytest.raises(ConfigError, match=r"'head.fc' puts out \(6,\), but a feat"):
            network.features(IMAGES, ['head.fc'])


class TestConfigs:
    def test_distiller_gives_its_student(self, toy_config, trained, tmp_path):
        checkpoint = trained(toy_config)
        expected = Network(toy_config, checkpoint).features(IMAGES, LAYERS)
        distiller(toy_config).dump(tmp_path / 'config.py')
        network = Network(str(tmp_path / 'config.py'), checkpoint)
        given = network.features(IMAGES, LAYERS)
        assert all(torch.equal(given[name], expected[name]) for name in LAYERS)

    def test_what_a_distiller_learned_beside_is_passed_over(self, toy_config, trained):
        path = trained(toy_config)
        saved = torch.load(path)
        saved['state_dict']['distill.loss_kd.adapter.weight'] = torch.zeros(3)
        torch.save(saved, path)
        Network(distiller(toy_config), path)

    def test_plain_backbone_takes_a_classifiers_checkpoint(self, toy_config, trained):
        checkpoint = trained(toy_config)
        config = Config(
            dict(
                default_scope='mmpretrain',
                model=dict(toy_config.model.backbone),
                data_preprocessor=dict(toy_config.model.data_preprocessor),
                test_dataloader=toy_config.test_dataloader,
            )
        )
        network = Network(config, checkpoint)
        whole = Network(toy_config, checkpoint)
        expected = whole.features(IMAGES, ['pooled', 'backbone.layer2'])
        given = network.features(IMAGES, ['pooled', 'layer2'])
        assert torch.equal(given['pooled'], expected['pooled'])
        assert torch.equal(given['layer2'], expected['backbone.layer2'])
        with pytest.raises(ConfigError, match='has no head, so it gives no logits'):
            network.features(IMAGES, ['logits'])

        own = Path(checkpoint).with_name('backbone.pth')
        torch.save(whole.model.backbone.state_dict(), own)
        assert Network(config, str(own)).fingerprint() == network.fingerprint()

        config.pop('data_preprocessor')
        with pytest.raises(ConfigError, match='does not say how its input is norm'):
            Network(config, checkpoint)

    def test_cifar_config_of_mmkd(self):
        network = Network(load_config('configs/cifar100/none_resnet56_resnet20.py'))
        inputs = []
        network.model.backbone.register_forward_pre_hook(
            lambda _, args: inputs.append(args[0])
        )
        rgb = IMAGES[0].permute(1, 2, 0).numpy()
        pixels = torch.from_numpy(network.transform(rgb))
        assert network.features(pixels[None], ['pooled'])['pooled'].shape == (1, 64)
        mean, std = [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]
        expected = (rgb / 255 - mean) / std
        np.testing.assert_allclose(inputs[0][0].permute(1, 2, 0), expected, atol=1e-5)

    @pytest.mark.parametrize('key', ['dataset_meta', 'CLASSES'])
    def test_classes_of_the_checkpoint(self, toy_config, trained, key):
        names = ['cat', 'dog']
        meta = {key: names if key == 'CLASSES' else dict(classes=names)}
        assert Network(toy_config, trained(toy_config, **meta)).classes == (
            'cat',
            'dog',
        )
        assert Network(toy_config, trained(toy_config)).classes is None
        assert Network(toy_config).classes is None

    def test_detectors_have_no_pooled_feature(self, toy_config):
        config = Config(dict(default_scope='mmdet', model=toy_detector()))
        with pytest.raises(ConfigError, match='FasterRCNN gives no feature'):
            Network(config, input_size=64).features(IMAGES, ['pooled'])


class TestCheckpoints:
    """Each message is one sentence that names the file."""

    def refused(self, config, path):
        with pytest.raises(CheckpointError) as caught:
            Network(config, path, name='kd')
        message = str(caught.value)
        assert path in message and '\n' not in message and len(message) < 500
        return message

    def test_missing_and_unexpected_keys(self, toy_config, trained):
        path = trained(toy_config)
        saved = torch.load(path)
        weights = saved['state_dict']
        weights['backbone.other'] = weights.pop('backbone.conv1.weight')
        torch.save(saved, path)
        message = self.refused(toy_config, path)
        assert 'does not fit kd (ImageClassifier)' in message
        assert 'missing keys backbone.conv1.weight' in message
        assert 'unexpected keys backbone.other' in message

    def test_other_shapes(self, toy_config, trained):
        config = changed(toy_config, **{'model.head.num_classes': 7})
        message = self.refused(config, trained(toy_config))
        assert 'size mismatch' in message and '[10' in message and '[7' in message

    def test_missing_file(self, toy_config, tmp_path):
        message = self.refused(toy_config, str(tmp_path / 'gone.pth'))
        assert 'does not exist' in message

    @pytest.mark.parametrize('share', [0, 0.1, 0.9])
    def test_truncated_file(self, toy_config, trained, share):
        path = Path(trained(toy_config))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        assert 'truncated' in self.refused(toy_config, str(path))


class TestRandomWeights:
    def test_are_the_same_for_the_same_seed(self, toy_config):
        first, same, other = (Network(toy_config, seed=seed) for seed in (3, 3, 4))
        assert first.fingerprint() == same.fingerprint() != other.fingerprint()
        given = [net.features(IMAGES, ['pooled'])['pooled'] for net in (first, same)]
        assert torch.equal(*given)

    def test_leave_the_random_states(self, toy_config, trained):
        def states():
            return random.getstate(), np.random.get_state()[1].tolist()

        before, torchs = states(), torch.get_rng_state()
        network = Network(toy_config, seed=5)
        network.features(IMAGES, ['pooled'])
        Network(toy_config, trained(toy_config))
        assert states() == before and torch.equal(torch.get_rng_state(), torchs)

    def test_do_not_seed_the_gpus(self, toy_config, monkeypatch):
        seeded = []
        monkeypatch.setattr(torch.cuda, 'manual_seed_all', seeded.append)
        Network(toy_config, seed=5)
        assert not seeded

    def test_are_random_where_the_config_loads_weights(self, toy_config, tmp_path):
        """Else the floor of a comparison would be a trained network."""
        loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'gone.pth'))
        kaiming = dict(type='Kaiming', layer='Conv2d')
        for spec in (loaded, [kaiming, loaded]):
            config = changed(toy_config, **{'model.backbone.init_cfg': spec})
            network = Network(config)
            assert network.features(IMAGES, ['pooled'])['pooled'].std() > 0
        config = changed(toy_config, **{'model.init_cfg': loaded})
        Network(config)


class TestFingerprint:
    def test_is_not_of_the_name_or_the_file(self, toy_config, trained):
        first = Network(toy_config, trained(toy_config, 'first'), name='first')
        two = Network(toy_config, trained(toy_config, 'two'), name='two')
        assert first.fingerprint() == two.fingerprint()
        first.features(IMAGES, LAYERS)
        assert first.fingerprint() == two.fingerprint()

    def test_changes_with_every_tensor(self, network):
        known = {network.fingerprint()}
        tensors = state(network.model)
        assert any('running_mean' in key for key in tensors)
        assert {'data_preprocessor.mean', 'data_preprocessor.std'} <= set(tensors)
        owners = dict(network.model.named_parameters())
        owners.update(network.model.named_buffers())
        for tensor in owners.values():
            with torch.no_grad():
                tensor.view(-1)[-1] += 1
            known.add(network.fingerprint())
        assert len(known) == 1 + len(tensors)

    def test_changes_with_the_preprocessor(self, toy_config, trained):
        checkpoint = trained(toy_config)
        stats = 'model.data_preprocessor.'
        variants = [
            {},
            {f'{stats}mean': [127.5, 127.5, 127.0]},
            {f'{stats}std': [64.0, 64.0, 63.0]},
            {f'{stats}to_rgb': False},
            {f'{stats}pad_size_divisor': 64},
        ]
        given = {
            Network(changed(toy_config, **values), checkpoint).fingerprint()
            for values in variants
        }
        assert len(given) == len(variants)

    def test_changes_with_the_transform(self, toy_config, trained):
        checkpoint = trained(toy_config)
        sizes = [Network(toy_config, checkpoint, input_size=s) for s in (None, 32, 48)]
        default, same, other = (network.fingerprint() for network in sizes)
        assert default == same != other

    def test_changes_with_what_is_in_no_weight(self, vit_config, trained):
        path = trained(vit_config)
        first, other = (
            Network(changed(vit_config, **{'model.backbone.arch.num_heads': n}), path)
            for n in (2, 3)
        )
        features = [
            net.features(IMAGES, ['pooled'])['pooled'] for net in (first, other)
        ]
        assert not torch.allclose(*features)
        assert first.fingerprint() != other.fingerprint()


def test_a_device_that_is_not_there(toy_config):
    for device in ('tpu9', 'cuda:99'):
        with pytest.raises(ConfigError, match=f"device '{device}' is not to be had"):
            Network(toy_config, device=device)
