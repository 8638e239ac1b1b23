"""Checkpoints load and resume, and never run the code of a file that is not trusted."""

import functools
import http.server
import os
import pickle
import socket
import threading
import zipfile

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from mmkd.compat import checkpoints, restricted_pickle
from mmkd.compat.checkpoints import safe_load
from mmkd.errors import CheckpointError

READERS = {'restricted': restricted_pickle.torch_load}
if checkpoints._torch_load is not restricted_pickle.torch_load:
    READERS['weights_only'] = checkpoints._weights_only_load


@pytest.fixture(params=READERS, autouse=True)
def reader(request, monkeypatch):
    """Each test runs on the reader of new and on that of old versions of torch."""
    monkeypatch.setattr(checkpoints, '_torch_load', READERS[request.param])


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'executed'


@pytest.fixture
def evil(tmp_path, marker):
    path = tmp_path / 'evil.pth'
    weights = nn.Linear(2, 2).state_dict()
    torch.save({'state_dict': weights, 'x': Call(os.mkdir, str(marker))}, path)
    return path


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good.pth'
    torch.save({'state_dict': nn.Linear(2, 2).state_dict()}, path)
    return path


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The address of a server of ``tmp_path``; a cache of its own for downloads."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


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
def test_nothing_is_executed_from_other_formats(tmp_path, marker, kind):
    call = Call(os.mkdir, str(marker))
    path = tmp_path / 'evil.pth'
    if kind == 'plain':
        path.write_bytes(pickle.dumps(call, protocol=2))
    else:
        torch.save(call, path, _use_new_zipfile_serialization=kind == 'open')
    with open(path, 'rb') as file, pytest.raises(CheckpointError, match='mkdir'):
        safe_load(file if kind == 'open' else path)
    assert not marker.exists()


@pytest.mark.parametrize('function', [eval, exec, getattr, __import__, np.load])
def test_nothing_else_is_called(tmp_path, function):
    path = tmp_path / 'evil.pth'
    torch.save(Call(function, 'os', 'system'), path)
    with pytest.raises(CheckpointError, match=function.__name__):
        safe_load(path)


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), str(path))
    with pytest.raises(CheckpointError, match='no PyTorch checkpoint'):
        safe_load(path)


def test_trusted_by_path(evil, good, marker, monkeypatch):
    relative = os.path.relpath(evil)
    monkeypatch.setenv('MMKD_TRUST', f'{good}, {relative}')
    assert 'state_dict' in load_checkpoint(nn.Linear(2, 2), str(evil))
    assert marker.exists()


def test_trust_is_exact(evil, marker, monkeypatch):
    monkeypatch.setenv('MMKD_TRUST', f'{evil.parent},{evil}x,*,1,')
    with pytest.raises(CheckpointError):
        safe_load(evil)
    assert not marker.exists()


def test_download(good, tmp_path, url):
    model = nn.Linear(2, 2)
    load_checkpoint(model, f'{url}/good.pth')
    saved = torch.load(good)['state_dict']
    assert torch.equal(model.weight, saved['weight'])
    # The second time it comes from torch.hub's cache.
    good.unlink()
    assert 'state_dict' in safe_load(f'{url}/good.pth')
    assert os.listdir(tmp_path / 'cache/hub/checkpoints') == ['good.pth']


def test_downloads_are_not_executed(evil, marker, url, monkeypatch):
    urls = {'toy': f'{url}/evil.pth'}
    for store in ('torchvision', 'external', 'mmcls'):
        monkeypatch.setattr(mmengine_checkpoint, f'get_{store}_models', lambda: urls)
    schemes = ('torchvision://', 'open-mmlab://', 'mmcls://')
    for name in (urls['toy'], *(f'{scheme}toy' for scheme in schemes)):
        with pytest.raises(CheckpointError, match='needs posix.mkdir') as error:
            load_checkpoint(nn.Linear(2, 2), name)
        assert not marker.exists()
    monkeypatch.setenv('MMKD_TRUST', urls['toy'])
    assert urls['toy'] in str(error.value)
    load_checkpoint(nn.Linear(2, 2), 'torchvision://toy')
    assert marker.exists()


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


def test_failed_download(tmp_path, url):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        nobody = f'http://127.0.0.1:{closed.getsockname()[1]}/good.pth'
        for address in (nobody, f'{url}/absent.pth'):
            with pytest.raises(CheckpointError, match='local path') as error:
                safe_load(address)
            assert address in str(error.value)
    assert not os.listdir(tmp_path / 'cache/hub/checkpoints')


@pytest.mark.parametrize('rank', [0, 1])
def test_rank_0_downloads_first(monkeypatch, tmp_path, rank):
    events = []
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(checkpoints, 'get_rank', lambda: rank)
    monkeypatch.setattr(checkpoints, 'barrier', lambda: events.append('barrier'))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, path, **kwargs: (events.append('download'), open(path, 'w')),
    )
    with pytest.raises(CheckpointError, match='truncated'):
        safe_load('https://example.com/file.pth')
    assert events == ['download', 'barrier'][:: 1 if rank == 0 else -1]


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


def train(work_dir, epochs, resume):
    loader = dict(batch_size=2, num_workers=0, dataset=ToyDataset())
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    loader['collate_fn'] = dict(type='default_collate')
    runner = Runner(
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
