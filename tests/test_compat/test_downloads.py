"""What is known of a file: its real path, its whole URL and its content."""

import os
import shutil
import socket
from hashlib import sha256

import pytest
import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import load_checkpoint
from torch import nn

from mmkd.compat import downloads
from mmkd.compat.checkpoints import safe_load
from mmkd.errors import CheckpointError


def bias(path):
    return safe_load(path)['bias']


def weights(path, value):
    """Write a checkpoint whose bias is a number; return its digest."""
    path.parent.mkdir(exist_ok=True)
    torch.save({'bias': torch.tensor(value)}, path)
    return sha256(path.read_bytes()).hexdigest()


def test_trusted_by_real_path(evil, good, marker, monkeypatch):
    monkeypatch.setenv('MMKD_TRUST', f'{good}, {evil}')
    assert 'state_dict' in load_checkpoint(nn.Linear(2, 2), str(evil))
    assert marker.exists()


def test_the_sentence_names_what_to_trust(evil, marker, monkeypatch):
    link = evil.with_name('link.pth')
    link.symlink_to(evil.name)
    with pytest.raises(CheckpointError, match=f'MMKD_TRUST to {evil}'):
        safe_load(link)
    monkeypatch.setenv('MMKD_TRUST', str(evil))
    safe_load(link)
    assert marker.exists()


def test_trust_is_exact(evil, marker, monkeypatch):
    monkeypatch.setenv('MMKD_TRUST', f'{evil.parent},{evil}x,*,1,')
    with pytest.raises(CheckpointError):
        safe_load(evil)
    assert not marker.exists()


def test_a_swapped_link_is_not_trusted(evil, good, marker, monkeypatch):
    link = evil.with_name('link.pth')
    link.symlink_to(good)
    monkeypatch.setenv('MMKD_TRUST', f'{link},{good}')
    safe_load(link)
    link.unlink()
    link.symlink_to(evil)
    with pytest.raises(CheckpointError, match='mkdir'):
        safe_load(link)
    folder = evil.parent.with_name('folder')
    folder.symlink_to(evil.parent)
    monkeypatch.setenv('MMKD_TRUST', str(folder / 'evil.pth'))
    with pytest.raises(CheckpointError, match='mkdir'):
        safe_load(folder / 'evil.pth')
    assert not marker.exists()


def test_trust_does_not_move_with_the_folder(evil, marker, monkeypatch):
    monkeypatch.setenv('MMKD_TRUST', 'evil.pth')
    monkeypatch.chdir(evil.parent)
    with pytest.raises(CheckpointError, match='mkdir'):
        safe_load('evil.pth')
    assert not marker.exists()


def test_download(good, url):
    model = nn.Linear(2, 2)
    load_checkpoint(model, f'{url}/good.pth')
    saved = torch.load(good)['state_dict']
    assert torch.equal(model.weight, saved['weight'])
    # The second time it comes from the cache.
    good.unlink()
    assert 'state_dict' in safe_load(f'{url}/good.pth')


def test_the_same_name_elsewhere_is_another_file(tmp_path, url):
    weights(tmp_path / 'a' / 'r-12345678.pth', 1.0)
    weights(tmp_path / 'b' / 'r-12345678.pth', 2.0)
    for _ in range(2):
        assert bias(f'{url}/a/r-12345678.pth') == 1
        assert bias(f'{url}/b/r-12345678.pth') == 2
        assert bias(f'{url}/b/r-12345678.pth?a=1') == 2


def test_trust_in_one_url_is_none_in_another(tmp_path, evil, marker, url, monkeypatch):
    (tmp_path / 'a').mkdir()
    shutil.move(evil, tmp_path / 'a/r.pth')
    weights(tmp_path / 'b' / 'r.pth', 2.0)
    with pytest.raises(CheckpointError, match=f'MMKD_TRUST to {url}/a/r.pth'):
        safe_load(f'{url}/a/r.pth')
    monkeypatch.setenv('MMKD_TRUST', f'{url}/b/r.pth')
    assert bias(f'{url}/b/r.pth') == 2
    with pytest.raises(CheckpointError, match='mkdir'):
        safe_load(f'{url}/a/r.pth')
    assert not marker.exists()


def test_a_cached_file_that_changed_is_fetched_again(tmp_path, url):
    weights(tmp_path / 'r.pth', 1.0)
    assert bias(f'{url}/r.pth') == 1
    (cached,) = (tmp_path / 'cache').rglob('*-r.pth')
    weights(cached, 2.0)
    assert bias(f'{url}/r.pth') == 1


class TestTorchHub:
    """Its own downloads lie under the last part of the URL."""

    @pytest.fixture
    def hub(self, tmp_path, monkeypatch):
        monkeypatch.setenv('TORCH_HOME', str(tmp_path))
        hub = tmp_path / 'hub/checkpoints'
        hub.mkdir(parents=True)
        return hub

    def test_one_that_carries_its_hash_is_taken(self, hub):
        name = f'resnet-{weights(hub / "r.pth", 1.0)[:8]}.pth'
        (hub / 'r.pth').rename(hub / name)
        assert bias(f'http://127.0.0.1:9/{name}') == 1

    @pytest.mark.parametrize('name', ['r.pth', 'r-12345678.pth', 'r-.pth'])
    def test_another_is_named_but_not_taken(self, hub, name):
        weights(hub / name, 1.0)
        with pytest.raises(CheckpointError, match='could not be down') as error:
            safe_load(f'http://127.0.0.1:9/{name}')
        assert str(hub / name) in str(error.value)

    def test_none_is_trusted_for_its_name(self, hub, evil, marker, monkeypatch):
        name = f'r-{sha256(evil.read_bytes()).hexdigest()[:8]}.pth'
        shutil.copy(evil, hub / name)
        monkeypatch.setenv('MMKD_TRUST', f'http://127.0.0.1:9/{name}')
        with pytest.raises(CheckpointError, match='could not be downloaded'):
            safe_load(f'http://127.0.0.1:9/{name}')
        assert not marker.exists()


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


def test_failed_download(tmp_path, url):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        nobody = f'http://127.0.0.1:{closed.getsockname()[1]}/good.pth'
        for address in (
            nobody,
            f'{url}/absent.pth',
            f'{url}/{"x" * 300}',
            'http://[/a b',
        ):
            with pytest.raises(CheckpointError, match='local path') as error:
                safe_load(address)
            assert address in str(error.value)
    # torch.hub leaves a part of its own where it does not understand a URL.
    kept = [path.name for path in (tmp_path / 'cache').rglob('*') if path.is_file()]
    assert not [name for name in kept if '.part' not in name]


@pytest.mark.parametrize('rank', [0, 1])
def test_rank_0_downloads_first(monkeypatch, tmp_path, rank):
    events = []

    def fetch(url, path, **kwargs):
        events.append('download')
        open(path, 'w').close()

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(downloads, 'get_rank', lambda: rank)
    monkeypatch.setattr(downloads, 'barrier', lambda: events.append('barrier'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    with pytest.raises(CheckpointError, match='truncated'):
        safe_load('https://example.com/file.pth')
    assert events == ['download', 'barrier'][:: 1 if rank == 0 else -1]


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / 'hub').write_text('a file')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(CheckpointError, match='local path'):
        safe_load('https://example.com/file.pth')
    assert os.path.isfile(tmp_path / 'hub')
