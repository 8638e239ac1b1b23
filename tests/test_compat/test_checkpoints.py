"""Checkpoints load and resume, and never run the code of a file that is not trusted."""

import functools
import inspect
import os
import pickle
import random
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from mmkd.compat import checkpoints
from mmkd.compat.checkpoints import safe_load
from mmkd.errors import CheckpointError

#: Each test runs on the reader of new and on that of old versions of torch.
pytestmark = pytest.mark.usefixtures('reader')


def test_the_file_really_is_evil(evil, marker):
    torch.load(evil, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(
    'load',
    [
        safe_load,
        lambda path: load_checkpoint(nn.Linear(2, 2), str(path)),
        lambda path: CheckpointLoader.load_checkpoint(str(path), 'cpu'),
        lambda path: pretrained(str(path)),
        lambda path: runner(path.parent).load_checkpoint(str(path)),
        lambda path: runner(path.parent).resume(str(path)),
    ],
    ids='safe_load load_checkpoint CheckpointLoader Pretrained Runner resume'.split(),
)
def test_nothing_is_executed(evil, marker, load):
    with pytest.raises(CheckpointError) as error:
        load(evil)
    assert not marker.exists()
    assert 'needs posix.mkdir' in str(error.value)
    assert str(evil) in str(error.value)
    assert 'MMKD_TRUST' in str(error.value)


def runner(work_dir):
    return Runner(ToyModel(), str(work_dir), experiment_name=str(work_dir))


def pretrained(path):
    module = BaseModule(init_cfg=dict(type='Pretrained', checkpoint=path))
    module.init_weights()


@pytest.mark.parametrize('kind', ['legacy', 'plain', 'open'])
def test_nothing_is_executed_from_other_formats(tmp_path, marker, kind, call):
    call = call(os.mkdir, str(marker))
    path = tmp_path / 'evil.pth'
    if kind == 'plain':
        path.write_bytes(pickle.dumps(call, protocol=2))
    else:
        torch.save(call, path, _use_new_zipfile_serialization=kind == 'open')
    with open(path, 'rb') as file, pytest.raises(CheckpointError, match='mkdir'):
        safe_load(file if kind == 'open' else path)
    assert not marker.exists()


@pytest.mark.parametrize('function', [eval, exec, getattr, __import__, np.load])
def test_nothing_else_is_called(tmp_path, function, call):
    path = tmp_path / 'evil.pth'
    torch.save(call(function, 'os', 'system'), path)
    with pytest.raises(CheckpointError, match=function.__name__):
        safe_load(path)


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), str(path))
    with pytest.raises(CheckpointError, match='no PyTorch checkpoint'):
        safe_load(path)


def test_object_stores_are_not_executed(evil, marker, monkeypatch):
    class Backend:
        def get(self, name):
            return evil.read_bytes()

    monkeypatch.setattr(
        mmengine_checkpoint, 'get_file_backend', lambda *args, **kwargs: Backend()
    )
    with pytest.raises(CheckpointError, match='needs posix.mkdir'):
        load_checkpoint(nn.Linear(2, 2), 's3://bucket/evil.pth')
    assert not marker.exists()


def test_every_load_of_mmengine_is_ours():
    """By name, whichever is installed: the fork has ``_safe_torch_load`` as well."""
    called = set()
    for _, function in inspect.getmembers(mmengine_checkpoint, inspect.isfunction):
        names = set(function.__code__.co_names)
        if function.__module__ == mmengine_checkpoint.__name__:
            called |= names & {'load_url', 'load_from_http', '_safe_torch_load'}
            called |= {'torch'} if {'torch', 'load'} <= names else set()
    assert 'load_from_http' in called
    for name in called:
        value = getattr(mmengine_checkpoint, name)
        assert value.__module__ == checkpoints.__name__, name
    for scheme in ('', 'http://', 'https://'):
        loader = CheckpointLoader._schemes[scheme]
        assert loader.__module__ == checkpoints.__name__


def test_the_forks_fallback_is_not_reached(evil, marker, monkeypatch):
    """The fork runs the file after a safe load failed: its code, in short."""

    def fork(file, map_location=None, weights_only=None):
        try:
            return torch.load(file, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(file, map_location=map_location, weights_only=False)

    monkeypatch.setattr(mmengine_checkpoint, '_safe_torch_load', fork, raising=False)
    checkpoints.install()
    with pytest.raises(CheckpointError, match='needs posix.mkdir'):
        mmengine_checkpoint._safe_torch_load(str(evil))
    with open(evil, 'rb') as file, pytest.raises(CheckpointError, match='posix.mkdir'):
        mmengine_checkpoint._safe_torch_load(file, map_location='cpu')
    assert not marker.exists()


def test_missing_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for load in (safe_load, functools.partial(load_checkpoint, nn.Linear(2, 2))):
        with pytest.raises(CheckpointError) as error:
            load('work_dirs/epoch_1.pth')
        assert str(tmp_path / 'work_dirs/epoch_1.pth') in str(error.value)
        assert 'config' in str(error.value)


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'html', 'empty'])
def test_damaged_file(tmp_path, kind):
    path = tmp_path / 'damaged.pth'
    weights = nn.Linear(20, 20).state_dict()
    torch.save(weights, path, _use_new_zipfile_serialization=kind != 'legacy')
    content = path.read_bytes()[: path.stat().st_size // 2]
    content = {'html': b'<html>Log in first</html>', 'empty': b''}.get(kind, content)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='download or copy it again') as error:
        safe_load(path)
    assert f'{path} is truncated' in str(error.value)
    assert f'({len(content)} bytes)' in str(error.value)


def test_a_missing_device_is_not_called_damage(good, monkeypatch):
    def fail(*args):
        raise RuntimeError('no CUDA device: use map_location')

    monkeypatch.setattr(checkpoints, '_torch_load', fail)
    with pytest.raises(RuntimeError, match='^no CUDA device'):
        safe_load(good)


class ToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        nn.init.constant_(self.linear.weight, 0.5)
        nn.init.constant_(self.linear.bias, 0.5)

    def forward(self, x, mode='tensor'):
        loss = self.linear(x).square().mean()
        return {'loss': loss} if mode == 'loss' else [loss]


class ToyDataset(torch.utils.data.Dataset):
    metainfo = dict(palette=np.arange(6, dtype=np.uint8), classes=np.array(['a', 'b']))

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(x=torch.tensor([index, 1.0]))


class ToyMetric(BaseMetric):
    """Puts numpy scalars into the log, as COCO's metric does."""

    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0]))

    def compute_metrics(self, results):
        return dict(score=np.float64(np.mean(results)), count=np.int64(len(results)))


def train(work_dir, epochs, resume, **kwargs):
    loader = dict(batch_size=2, num_workers=0, dataset=ToyDataset())
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    loader['collate_fn'] = dict(type='default_collate')
    arguments = dict(
        model=ToyModel(),
        work_dir=str(work_dir),
        experiment_name=f'toy_{work_dir}_{epochs}',
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=Evaluator(ToyMetric()),
        val_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        param_scheduler=dict(type='StepLR', step_size=1, gamma=0.5, end=9),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        resume=resume,
        default_scope=None,
    )
    runner = Runner(**{**arguments, **kwargs})
    runner.train()
    return runner


def test_resume(tmp_path):
    before = train(tmp_path / 'run', epochs=2, resume=False)
    losses, counts = before.message_hub.get_scalar('train/loss').data
    assert (before.iter, len(losses)) == (6, 6)
    after = train(tmp_path / 'run', epochs=3, resume=True)
    history = after.message_hub.get_scalar('train/loss')
    assert (after.epoch, after.iter, len(history.data[0])) == (3, 9, 9)
    np.testing.assert_array_equal(history.data[0][:6], losses)
    np.testing.assert_array_equal(history.data[1][:6], counts)
    assert history.statistics('mean', 9) == pytest.approx(history.data[0].mean())
    # Weights, momentum and learning rate too: as if never interrupted.
    whole = train(tmp_path / 'whole', epochs=3, resume=False)
    expected = whole.message_hub.get_scalar('train/loss').data[0]
    np.testing.assert_allclose(history.data[0], expected)


def same(first, second):
    """Tell whether two loads gave the same, types included."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, HistoryBuffer):
        return same(first.data, second.data) and first.max_length == second.max_length
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, dict):
        keys = list(first) == list(second)
        return keys and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def test_a_runners_checkpoint_loads_whole(tmp_path):
    schedule = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
        dict(type='MultiStepLR', milestones=[1, 2]),
        dict(type='ReduceOnPlateauLR', monitor='score', rule='greater'),
    ]
    train(
        tmp_path,
        2,
        False,
        custom_hooks=[dict(type='EMAHook')],
        param_scheduler=schedule,
    )
    loaded = safe_load(tmp_path / 'epoch_2.pth')
    assert 'ema_state_dict' in loaded and loaded['message_hub']['log_scalars']
    assert same(loaded, torch.load(tmp_path / 'epoch_2.pth', weights_only=False))


def random_states():
    return dict(
        python=random.getstate(),
        numpy=np.random.get_state(),
        generator=np.random.default_rng(3).bit_generator.state,
        torch=torch.get_rng_state(),
    )


@pytest.mark.parametrize(
    'checkpoint',
    [
        {'meta': {'mmdet_version': '1.2.0', 'CLASSES': ('a',), 'epoch': 1, 'iter': 2},
         'state_dict': OrderedDict(w=torch.ones(2)), 'optimizer': {'param_groups': []}},
        {'meta': {'mmdet_version': '2.25.0', 'PALETTE': [(1, 2, 3)], 'seed': 0,
                  'env_info': 'sys.platform: linux', 'hook_msgs': {'best_score': 0.5}},
         'state_dict': OrderedDict(w=torch.ones(2).half())},
        {'meta': {'dataset_meta': {'classes': np.array(['a']),
                                   'palette': np.arange(3, dtype=np.uint8)}},
         'message_hub': {'runtime_info': {'score': np.float64(0.5)}}, 'state_dict': {}},
        {'random': random_states()},
        {'arrays': [np.zeros((0, 3)), np.array(2.5), np.array([], bool), np.str_(''),
                    np.asfortranarray(np.ones((2, 3))), np.arange(3, dtype='>i2'),
                    np.ones((2, 3, 4))[:, ::2], np.complex64(2j), np.bytes_(b'a'),
                    np.array(['a\U0001f600', '']), np.array([b'a']), b'',
                    HistoryBuffer()]},
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=['1', '2', '3', 'random states', 'arrays', 'bare'],
)  # fmt: skip
def test_checkpoints_of_all_times_load_as_they_are(tmp_path, checkpoint):
    torch.save(checkpoint, tmp_path / 'old.pth')
    assert same(safe_load(tmp_path / 'old.pth'), checkpoint)


def test_names_as_a_config_nests_them(tmp_path):
    names = dict(classes=('a',), info=dict(by=dict(name='x')))
    torch.save(dict(meta=dict(dataset_meta=ConfigDict(names))), tmp_path / 'a.pth')
    loaded = safe_load(tmp_path / 'a.pth')['meta']['dataset_meta']
    assert loaded == names and type(loaded['info']['by']) is dict


def test_resuming_does_not_execute_a_config_in_the_checkpoint(tmp_path, marker):
    train(tmp_path / 'run', epochs=1, resume=False)
    path = tmp_path / 'run' / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['meta']['config'] = f'import os\nos.mkdir({str(marker)!r})\n'
    torch.save(checkpoint, path)
    assert train(tmp_path / 'run', epochs=2, resume=True).epoch == 2
    assert not marker.exists()


@pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
def test_arrays_of_either_numpy(tmp_path, module):
    path = tmp_path / 'array.pth'
    state = dict(a=np.arange(3.0), b=np.float32(1.5), c=np.array([True, False]))
    torch.save(state, path)
    other = b'numpy._core' if module == 'numpy.core' else b'numpy.core'
    # The names are text lines of the pickle; `zipfile` keeps the checksums right.
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(other, module.encode()))
    loaded = safe_load(path)
    np.testing.assert_array_equal(loaded['a'], state['a'])
    np.testing.assert_array_equal(loaded['c'], state['c'])
    assert loaded['b'] == 1.5
