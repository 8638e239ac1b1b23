"""Exported students: what a stock tool loads, and what is never written over."""

import copy
import errno
import os
import pickle
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import get_state_dict
from mmpretrain.datasets import CIFAR100 as StockCIFAR100

from mmkd.configs import build_model, load_config
from mmkd.datasets.cifar_files import CifarFiles
from mmkd.export import stock_config
from mmkd.testing import (
    classification_batch,
    detection_batch,
    shrink,
    toy_classifier,
)

ROOT = Path(__file__).resolve().parents[2]
#: A shipped config, and what of mmkd its exported student needs.
SHIPPED = {
    'cifar100/kd_resnet56_resnet20.py': ['mmkd.CIFARResNet'],
    'cifar100/mlkd_wrn40-2_shufflenetv1.py': ['mmkd.CIFARShuffleNetV1'],
    'cifar100/none_vgg13_vgg8.py': ['mmkd.CIFARVGG'],
    'imagenet/crd_r34_r18.py': [],
    'imagenet/kd_r50_mv1.py': ['mmkd.MobileNetV1'],
    'coco/luminet_frcnn.py': [],
    'quickstart/luminet.py': ['mmkd.DigitsDataset'],
}


@pytest.fixture
def export(monkeypatch, capsys):
    """Call the tool in this process; return what it prints or ends with."""

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['export_student.py', *map(str, arguments)])
        tool = str(ROOT / 'tools/export_student.py')
        try:
            runpy.run_path(tool, run_name='__main__')
        except SystemExit as stopped:
            return stopped.code
        return capsys.readouterr().out

    return call


def toy(folder, **model):
    """Write a Distiller's config of a toy classifier and its checkpoint."""
    spec = dict(type='mmkd.Distiller', student=toy_classifier(), losses={}, **model)
    cfg = Config(dict(default_scope='mmpretrain', model=spec))
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'mine.py')
    torch.manual_seed(0)
    student = build_model(cfg)
    torch.save(dict(state_dict=get_state_dict(student)), folder / 'epoch_1.pth')
    return student


def stock(path):
    """Build the model of a config as a stock tool does."""
    cfg = Config.fromfile(path)
    model = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(model)


def outputs(model, batch):
    model.eval()
    with torch.no_grad():
        return [*flat(model(**model.data_preprocessor(batch), mode='tensor'))]


def flat(outputs):
    if isinstance(outputs, torch.Tensor):
        yield outputs
    else:
        for part in outputs:
            yield from flat(part)


@pytest.mark.parametrize('name', SHIPPED)
def test_of_shipped_configs_answer_as_in_the_distiller(name, tmp_path, export):
    config = shrink(str(ROOT / 'configs' / name))
    config.dump(tmp_path / 'it.py')
    if 'losses' in config.model and 'crd' not in name:
        config.model.losses = {}  # teachers take long to build, and bring nothing
    torch.manual_seed(0)
    distiller = build_model(config)
    content = dict(state_dict=get_state_dict(distiller), meta=dict(epoch=3, seed=1))
    torch.save(content, tmp_path / 'epoch_3.pth')
    printed = export(
        tmp_path / 'it.py', tmp_path / 'epoch_3.pth', '--out-dir', tmp_path
    )
    exported = tmp_path / 'it_student.py'
    for kind in SHIPPED[name]:
        assert kind in printed and kind in exported.read_text()
    cfg = Config.fromfile(exported)
    assert ('mmkd' in str(cfg.get('custom_imports'))) == bool(SHIPPED[name])
    types = {line for line in exported.read_text().split("'") if line[:5] == 'mmkd.'}
    assert sorted(types) == SHIPPED[name]

    model = stock(exported)
    weights = tmp_path / 'it_student.pth'
    meta = load_checkpoint(model, str(weights), strict=True)['meta']
    assert meta == dict(epoch=3)
    detects = cfg.default_scope == 'mmdet'
    batch = detection_batch() if detects else classification_batch()
    expected = outputs(getattr(distiller, 'student', distiller), copy.deepcopy(batch))
    got = outputs(model, batch)
    assert len(got) == len(expected) and expected[0].std() > 0
    for pair in zip(got, expected):
        torch.testing.assert_close(*pair, rtol=0, atol=1e-6)
    assert stock_config(load_config(str(exported))).config.pretty_text == (
        cfg.pretty_text
    )


LOAD = """
import sys
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
def load(path):
    cfg = Config.fromfile(path + '.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    load_checkpoint(model, path + '.pth', strict=True)
sys.modules['mmkd'] = None
load('imagenet_student')
del sys.modules['mmkd']
load('cifar_student')
assert 'mmkd' in sys.modules
"""


def test_a_process_that_knows_no_mmkd_loads_them(tmp_path, export, monkeypatch):
    names = dict(imagenet='imagenet/kd_r34_r18', cifar='cifar100/kd_resnet56_resnet20')
    for name, config in names.items():
        config = shrink(str(ROOT / f'configs/{config}.py'))
        config.dump(tmp_path / f'{name}.py')
        config.model.losses = {}
        torch.save(get_state_dict(build_model(config)), tmp_path / f'{name}.pth')
    monkeypatch.chdir(tmp_path)
    for name in names:
        export(f'{name}.py', f'{name}.pth')
    done = subprocess.run(
        [sys.executable, '-c', LOAD],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


class TestTheStockConfig:
    @pytest.fixture
    def cifar(self, tmp_path, monkeypatch):
        """A config of a cell, on a little CIFAR-100 that passes for the official."""
        folder = tmp_path / 'cifar-100-python'
        folder.mkdir()
        rng = np.random.default_rng(0)
        for split in ('train', 'test'):
            entry = dict(data=rng.integers(256, size=(8, 3072), dtype=np.uint8))
            entry['fine_labels'] = rng.integers(100, size=8).tolist()
            (folder / split).write_bytes(pickle.dumps(entry, protocol=2))
        monkeypatch.setattr(StockCIFAR100, '_check_integrity', lambda self: True)
        monkeypatch.setattr(CifarFiles, '_compare_md5s', lambda *args: None)
        cfg = load_config(str(ROOT / 'configs/cifar100/kd_resnet56_resnet20.py'))
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.dataset.data_root = str(tmp_path)
            loader.batch_size = 8
            loader.sampler.shuffle = False
        return cfg

    @staticmethod
    def batch(cfg, loader):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            built = Runner.build_dataloader(copy.deepcopy(cfg[loader]))
        return next(iter(built))

    @staticmethod
    def preprocess(cfg, batch, training=False):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return MODELS.build(cfg.data_preprocessor)(batch, training)

    @pytest.mark.parametrize('loader', ['val_dataloader', 'test_dataloader'])
    def test_the_network_sees_the_same_images(self, loader, cifar):
        config = stock_config(cifar).config
        old, new = (
            self.preprocess(cfg, self.batch(cfg, loader)) for cfg in (cifar, config)
        )
        assert torch.equal(old['inputs'], new['inputs'])
        labels = [[s.gt_label.item() for s in b['data_samples']] for b in (old, new)]
        assert labels[0] == labels[1] and len(labels[0]) == 8

    def test_training_crops_and_flips_as_before(self, cifar):
        plain = self.batch(cifar, 'train_dataloader')['inputs']
        windows = torch.nn.functional.pad(plain, [4] * 4)
        windows = windows.unfold(2, 32, 1).unfold(3, 32, 1)
        config = stock_config(cifar).config
        batches = [self.batch(config, 'train_dataloader') for _ in range(4)]
        flips = set()
        for batch in batches:
            for image, known in zip(batch['inputs'], windows):
                crops = known.permute(1, 2, 0, 3, 4)
                hits = [(crops == view).all(-1).all(-1).all(-1).any()
                        for view in (image, image.flip(2))]  # fmt: skip
                assert any(hits)
                flips.add(hits.index(True))
        assert flips == {0, 1}
        stays = self.preprocess(config, dict(inputs=plain), training=True)['inputs']
        assert torch.equal(stays, self.preprocess(config, dict(inputs=plain))['inputs'])

    @pytest.mark.parametrize(
        'change', [dict(check_md5=False), dict(num_classes=20), dict(fraction=0.5)]
    )
    def test_what_mmpretrains_data_set_cannot_do_stays(self, change, cifar):
        cifar.test_dataloader.dataset.dataset.update(change)
        stock = stock_config(cifar)
        assert 'mmkd.CIFAR100' in stock.left
        spec = stock.config.test_dataloader.dataset
        assert spec.type == 'mmkd.CIFAR100'
        assert all(spec[key] == value for key, value in change.items())
        assert stock.config.train_dataloader.dataset.type == 'CIFAR100'

    def test_a_training_that_would_change_is_named(self):
        cfg = load_config(
            str(ROOT / 'configs/cifar100/mlkd_resnet56_resnet20.py'),
            {'train_dataloader.dataset.dataset.type': 'mmkd.STL10'},
        )
        stock = stock_config(cfg)
        assert 'no strong view' in stock.changed[0]
        assert 'cropped and flipped no more' in stock.changed[1]
        assert {'mmkd.ImageTensors', 'mmkd.STL10', 'mmkd.keep_batch'} <= set(stock.left)
        assert cfg.data_preprocessor.type == 'mmkd.WeakStrongPreprocessor'

    def test_what_is_not_mmkds_stays(self):
        cfg = load_config(str(ROOT / 'configs/imagenet/crd_r34_r18.py'))
        cfg.custom_hooks.append(dict(type='EMAHook'))
        cfg.default_hooks.runtime_info = dict(type='mmkd.BufferedInfoHook')
        cfg.custom_imports = dict(imports=['mmkd.datasets', 'json'])
        cfg.optim_wrapper.paramwise_cfg = dict(
            custom_keys={'distill.loss_crd': dict(lr_mult=2), 'student.head': dict(a=1)}
        )
        config = stock_config(cfg).config
        assert config.custom_hooks == [dict(type='EMAHook')]
        assert config.default_hooks.checkpoint == cfg.default_hooks.checkpoint
        assert 'runtime_info' not in config.default_hooks
        assert config.custom_imports.imports == ['json']
        assert config.optim_wrapper.paramwise_cfg.custom_keys == dict(head=dict(a=1))
        assert config.train_dataloader == cfg.train_dataloader


def test_a_distillers_own_preprocessor_goes_with_its_student(tmp_path, export):
    stats = dict(type='ClsDataPreprocessor', mean=[9.0] * 3, std=[3.0] * 3)
    toy(tmp_path)
    cfg = load_config(str(tmp_path / 'mine.py'))
    del cfg.model.student['data_preprocessor']
    cfg.model.data_preprocessor = stats
    cfg.dump(tmp_path / 'mine.py')
    export(tmp_path / 'mine.py', tmp_path / 'epoch_1.pth', '--out-dir', tmp_path)
    model = stock(tmp_path / 'mine_student.py')
    assert model.data_preprocessor.mean.flatten().tolist() == [9, 9, 9]


class TestInputsAreSpared:
    """Every file that is read is the same afterwards, by whatever path it is hit."""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        toy(tmp_path)
        (tmp_path / 'base.py').write_text((tmp_path / 'mine.py').read_text())
        (tmp_path / 'mine.py').write_text("_base_ = 'base.py'\n")
        toy(tmp_path / 'sub')
        (tmp_path / 'sub/teacher.py').write_text('model = dict()\n')
        teacher = "teacher=dict(config='sub/teacher.py', checkpoint='sub/t.pth')"
        with open(tmp_path / 'mine.py', 'a') as file:
            file.write(f'model = dict({teacher})\n')
        (tmp_path / 'sub/t.pth').write_text('the teacher')
        (tmp_path / 'link').symlink_to(tmp_path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @staticmethod
    def contents(folder):
        files = [p for p in folder.rglob('*') if p.is_file() and 'link' not in p.parts]
        return {path: path.read_bytes() for path in files}

    def test_by_default(self, folder, export):
        before = self.contents(folder)
        assert 'mine_student.pth' in export('mine.py', 'epoch_1.pth')
        after = self.contents(folder)
        assert before.items() <= after.items()
        new = {path.name for path in after.keys() - before}
        assert new == {'mine_student.py', 'mine_student.pth'}
        # Once more, over what it has written itself.
        assert 'mine_student.pth' in export('mine.py', 'epoch_1.pth')
        assert self.contents(folder).keys() == after.keys()

    @pytest.mark.parametrize(
        'options, hit',
        [
            (['--name', 'mine'], 'mine.py'),
            (['--name', './sub/../mine'], 'mine.py'),
            (['--name', 'mine', '--out-dir', 'link'], 'mine.py'),
            (['--name', 'base'], 'base.py'),
            (['--name', 'epoch_1'], 'epoch_1.pth'),
            (['--name', 'epoch_1', '--out-dir', 'sub/../link'], 'epoch_1.pth'),
            (['--name', 'teacher', '--out-dir', 'sub'], 'teacher.py'),
            (['--name', 't', '--out-dir', 'sub'], 't.pth'),
            (['--name', 'hard'], 'hard.pth'),
        ],
    )
    def test_whatever_the_name(self, options, hit, folder, export):
        os.link('epoch_1.pth', 'hard.pth')
        before = self.contents(folder)
        ended = export('mine.py', 'epoch_1.pth', *options)
        assert ended.startswith('error: ') and f'{hit} would be written over' in ended
        assert self.contents(folder) == before

    def test_of_a_config_that_is_called_as_its_student(self, folder, export):
        shutil.move('mine.py', 'mine_student.py')
        before = self.contents(folder)
        assert 'mine_student_student.py' in export('mine_student.py', 'epoch_1.pth')
        assert before.items() <= self.contents(folder).items()


def test_a_checkpoint_of_another_network_writes_nothing(tmp_path, export):
    toy(tmp_path)
    weights = toy_classifier(width=16)
    torch.save(MODELS.build(weights).state_dict(), tmp_path / 'other.pth')
    out = tmp_path / 'out'
    ended = export(tmp_path / 'mine.py', tmp_path / 'other.pth', '--out-dir', out)
    assert ended.startswith(f'error: {tmp_path / "other.pth"} does not fit the student')
    assert not out.exists()


def test_one_network_of_a_file_of_several_is_written(tmp_path, export):
    toy(tmp_path)
    wanted = torch.load(tmp_path / 'epoch_1.pth')['state_dict']
    both = {f'student.{key}': tensor for key, tensor in wanted.items()}
    both.update({f'teacher.{key}': tensor + 1 for key, tensor in wanted.items()})
    torch.save(dict(state_dict=both), tmp_path / 'both.pth')
    arguments = [tmp_path / 'mine.py', tmp_path / 'both.pth', '--out-dir', tmp_path]
    assert "give prefix='student.' or 'teacher.'" in export(*arguments)
    export(*arguments, '--prefix', 'teacher.')
    written = torch.load(tmp_path / 'mine_student.pth')['state_dict']
    assert all(torch.equal(written[key], wanted[key] + 1) for key in written)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, export):
    toy(tmp_path)
    arguments = [tmp_path / 'mine.py', tmp_path / 'epoch_1.pth']
    ended = export(*arguments, '--out-dir', tmp_path / 'mine.py')
    assert ended.startswith('error: ') and 'cannot be written' in ended


def test_an_output_is_tried_before_the_work(tmp_path, export, monkeypatch):
    toy(tmp_path)
    (tmp_path / 'out/mine_student.py').mkdir(parents=True)
    monkeypatch.setattr('mmkd.export.stock_config', None)  # is not come to
    arguments = [tmp_path / 'mine.py', tmp_path / 'epoch_1.pth']
    ended = export(*arguments, '--out-dir', tmp_path / 'out')
    assert 'mine_student.py cannot be written: it is a folder' in ended


def test_a_full_disk_leaves_nothing_half(tmp_path, export, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    toy(tmp_path)
    monkeypatch.setattr('os.fsync', full)
    arguments = [tmp_path / 'mine.py', tmp_path / 'epoch_1.pth']
    ended = export(*arguments, '--out-dir', tmp_path / 'out')
    assert 'mine_student.pth cannot be written: the disk is full' in ended
    assert list((tmp_path / 'out').iterdir()) == []
