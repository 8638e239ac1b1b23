"""A linear classifier on a frozen network: what learns, and what stays."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from PIL import Image

from mmkd.errors import CheckpointError, ConfigError
from mmkd.models.backbones import FrozenBackbone
from mmkd.models.stock_network import build_network
from mmkd.testing import classification_batch, toy_classifier

ROOT = Path(__file__).resolve().parents[3]
IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def save(network, path):
    """Save as a run of a Distiller does, with statistics that were gathered."""
    torch.manual_seed(0)
    network.train()
    network(IMAGES + 1)
    network.eval()
    state = dict(network.state_dict())
    state['distill.loss_x.weight'] = torch.zeros(1)
    torch.save(dict(meta={}, state_dict=state), path)
    return network


@pytest.fixture
def student(tmp_path):
    """A trained student, its config and its checkpoint."""
    config = toy_classifier(classes=7)
    path = tmp_path / 'student.pth'
    return save(MODELS.build(config), path), config, str(path)


def linear(config, checkpoint, classes=5):
    """Describe a new classifier on the student."""
    spec = toy_classifier(classes=classes)
    channels = spec.head.in_channels
    spec.backbone = dict(
        type='mmkd.FrozenBackbone', config=config, checkpoint=checkpoint
    )
    spec.neck = None
    spec.head = dict(type='LinearClsHead', in_channels=channels, num_classes=classes)
    return spec


def train(model, work_dir, epochs, resume=False):
    """Train on 12 made images; two steps an epoch."""
    batch = classification_batch(12, classes=5)
    samples = [
        dict(inputs=image, data_samples=sample)
        for image, sample in zip(batch['inputs'], batch['data_samples'])
    ]
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=dict(
            batch_size=6,
            dataset=samples,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)
        ),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        log_level='ERROR',
        resume=resume,
        experiment_name=f'{work_dir.name}{epochs}{resume}',
    )
    runner.train()
    return runner


def test_gives_the_students_feature_whatever_the_mode(student):
    network, config, path = student
    expected = network.extract_feat(IMAGES, stage='pre_logits')
    distiller = dict(
        default_scope='mmpretrain',
        model=dict(type='mmkd.Distiller', student=config, losses={}),
    )
    for source in (config, distiller):
        backbone = FrozenBackbone(source, path).train()
        (feature,) = backbone(IMAGES)
        torch.testing.assert_close(feature, expected)
        assert not feature.requires_grad
        assert not any(module.training for module in backbone.modules())


def test_of_a_plain_backbone(tmp_path):
    config = dict(type='mmkd.CIFARResNet', depth=8)
    network = save(build_network(config), tmp_path / 'backbone.pth')
    (feature,) = FrozenBackbone(config, str(tmp_path / 'backbone.pth'))(IMAGES)
    torch.testing.assert_close(feature, network(IMAGES)[-1].mean((2, 3)))


def test_initialising_keeps_the_weights(student):
    network, config, path = student
    model = MODELS.build(linear(config, path))
    model.init_weights()
    kept = model.backbone.network.state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(kept[key], value), key


def test_only_the_head_learns(student, tmp_path):
    network, config, path = student
    torch.manual_seed(0)
    model = MODELS.build(linear(config, path))
    head = model.head.fc.weight.clone()
    runner = train(model, tmp_path / 'run', epochs=1)
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learned == ['head.fc.weight', 'head.fc.bias']
    assert not torch.equal(model.head.fc.weight, head)
    # Weights, and what batch norms gathered: running_mean, num_batches_tracked, ...
    kept = model.backbone.network.state_dict()
    assert any(key.endswith('num_batches_tracked') for key in kept)
    for key, value in network.state_dict().items():
        assert torch.equal(kept[key], value), key
    assert all(p.grad is None for p in model.backbone.parameters())
    # MMEngine lists frozen parameters with the others; the optimizer never moves them.
    moved = set(map(id, runner.optim_wrapper.optimizer.state))
    assert moved == set(map(id, model.head.parameters()))


def test_resumes_as_if_it_had_not_stopped(student, tmp_path):
    _, config, path = student

    def run(name, *stops):
        for index, epochs in enumerate(stops):
            model = linear(config, path)
            runner = train(model, tmp_path / name, epochs, resume=index > 0)
        assert runner.iter == 4
        return runner.model.state_dict()

    whole, parted = run('whole', 2), run('parted', 1, 2)
    assert list(whole) == list(parted)
    for key, value in whole.items():
        assert torch.equal(parted[key], value), key


def test_refuses_what_is_not_trained_or_does_not_fit(student):
    _, config, path = student
    with pytest.raises(CheckpointError, match='frozen backbone has no checkpoint'):
        FrozenBackbone(config)
    assert FrozenBackbone(config, allow_untrained=True)(IMAGES)[0].ndim == 2
    with pytest.raises(CheckpointError, match='does not fit the frozen backbone'):
        FrozenBackbone(toy_classifier(classes=8), path)
    with pytest.raises(ConfigError, match='the frozen backbone config has no model'):
        FrozenBackbone(dict(lr=1), path)


@pytest.fixture
def tiny_imagenet(tmp_path):
    """The layout of Tiny ImageNet, with two classes."""
    rng = np.random.default_rng(0)
    root = tmp_path / 'tiny-imagenet-200'
    names = ['n00000001', 'n00000002']
    (root / 'val/images').mkdir(parents=True)
    (root / 'wnids.txt').write_text('\n'.join(names) + '\n')
    annotations = ''
    for name in names:
        paths = [root / f'train/{name}/images/{name}_{i}.JPEG' for i in range(4)]
        paths[0].parent.mkdir(parents=True)
        for path in (*paths, root / f'val/images/{name}.JPEG'):
            pixels = rng.integers(256, size=(64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        annotations += f'{name}.JPEG\t{name}\t0\t0\t63\t63\n'
    (root / 'val/val_annotations.txt').write_text(annotations)
    return root


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_shipped_config_trains_in_two_processes(tiny_imagenet, tmp_path):
    """Through dist_train.sh and tools/train.py, as in configs/tiny_imagenet."""
    config = ROOT / 'configs/tiny_imagenet/linear_kd_resnet56_resnet20.py'
    cfg = Config.fromfile(config)
    network = save(build_network(cfg.model.backbone.config), tmp_path / 'student.pth')
    options = {
        'model.backbone.checkpoint': tmp_path / 'student.pth',
        'train_dataloader.dataset.data_root': tiny_imagenet,
        'val_dataloader.dataset.data_root': tiny_imagenet,
        'train_dataloader.num_workers': 0,
        'val_dataloader.num_workers': 0,
        'train_dataloader.batch_size': 2,
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'default_hooks.logger.interval': 1,
        'default_hooks.ranks.type': 'mmkd.RanksAgreeHook',
    }
    command = ['bash', 'tools/dist_train.sh', config, '2', '--work-dir', tmp_path]
    torchrun = str(Path(sys.executable).parent)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [*command, '--cfg-options', *(f'{k}={v}' for k, v in options.items())],
        cwd=ROOT,
        env=dict(
            os.environ,
            OMP_NUM_THREADS='1',
            PYTHONWARNINGS='ignore',
            PORT=str(port),
            PATH=os.pathsep.join([torchrun, os.environ['PATH']]),
        ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    # 8 images, 2 at a time in each of two processes.
    assert '[1][2/2]' in printed and 'accuracy/top5' in printed
    assert 'ranks agree at iteration 2' in printed
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert state['head.fc.weight'].shape == (200, 64)
    assert state['head.fc.weight'][2:].std() > 0
    for key, value in network.state_dict().items():
        assert torch.equal(state[f'backbone.network.{key}'], value), key
