"""What MMEngine writes is whole or not there, whenever it is killed."""

import os
from types import SimpleNamespace

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import FileClient, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import save_checkpoint

import mmkd


class Killed(BaseException):
    """Ends whatever it is raised in."""


@pytest.fixture
def killed_while_writing(monkeypatch):
    """Kill just before a file is in its place."""

    def kill(*args):
        raise Killed

    monkeypatch.setattr(os, 'replace', kill)


WRITES = dict(
    checkpoint=lambda path: save_checkpoint(dict(a=torch.zeros(1)), str(path)),
    client=lambda path: FileClient('disk').put(b'new', str(path)),
    bytes=lambda path: get_file_backend(path).put(b'new', path),
    text=lambda path: get_file_backend(path).put_text('new', path),
    named=lambda path: get_file_backend(backend_args=dict(backend='local')).put(
        memoryview(b'new'), str(path)
    ),
    json=lambda path: mmengine.dump(dict(a=1), path, file_format='json'),
    config=lambda path: Config(dict(a=1)).dump(path),
)


@pytest.mark.parametrize('kind', WRITES)
def test_a_file_is_the_old_one_or_the_new_one(tmp_path, kind, killed_while_writing):
    mmkd.compat.setup()  # again, which changes nothing
    path = tmp_path / 'file.py'
    path.write_text('old')
    with pytest.raises(Killed):
        WRITES[kind](path)
    assert path.read_text() == 'old'


@pytest.mark.parametrize('kind', WRITES)
def test_files_are_written_where_there_is_no_folder_yet(tmp_path, kind):
    if kind == 'config':
        (tmp_path / 'new').mkdir()
    WRITES[kind](tmp_path / 'new/file.py')
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['file.py']


class Hub(dict):
    """A message hub's information."""

    @property
    def runtime_info(self):
        return self

    update_info, get_info = dict.__setitem__, dict.__getitem__


@pytest.fixture
def runner(tmp_path):
    """As much of a Runner as CheckpointHook asks for; killed while it saves if told."""

    def save(out_dir, filename, *args, **kwargs):
        if runner.killed:
            raise Killed
        (tmp_path / filename).write_text('whole')

    log = SimpleNamespace(info=print)
    runner = SimpleNamespace(work_dir=str(tmp_path), message_hub=Hub(), logger=log)
    vars(runner).update(save_checkpoint=save, killed=False, epoch=0, iter=0)
    return runner


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_the_last_checkpoint_stays_until_the_next_is_saved(runner, tmp_path):
    hook = CheckpointHook(interval=1, max_keep_ckpts=1)
    hook.before_train(runner)
    for runner.epoch in (0, 1):  # noqa: B020
        hook._save_checkpoint(runner)
    assert names(tmp_path) == ['epoch_2.pth']
    runner.epoch, runner.killed = 2, True
    with pytest.raises(Killed):
        hook._save_checkpoint(runner)
    assert names(tmp_path) == ['epoch_2.pth']


def test_the_best_checkpoint_stays_until_a_better_one_is_saved(runner, tmp_path):
    hook = CheckpointHook(
        interval=1, max_keep_ckpts=1, save_best='top1', rule='greater'
    )
    hook.before_train(runner)
    for runner.epoch in (1, 2):  # noqa: B020
        hook._save_checkpoint_with_step(runner, runner.epoch, {})
        hook._save_best_checkpoint(runner, dict(top1=float(runner.epoch)))
    assert names(tmp_path) == ['best_top1_epoch_2.pth', 'epoch_2.pth']
    # Once more the same: it replaces itself, and stays.
    hook._save_best_checkpoint(runner, dict(top1=5.0))
    assert names(tmp_path) == ['best_top1_epoch_2.pth', 'epoch_2.pth']
    runner.epoch, runner.killed = 3, True
    with pytest.raises(Killed):
        hook._save_best_checkpoint(runner, dict(top1=9.0))
    assert names(tmp_path) == ['best_top1_epoch_2.pth', 'epoch_2.pth']


def test_a_hook_that_saves_nothing_is_left_alone():
    """Of a Runner that validates and does not train."""
    CheckpointHook()._save_best_checkpoint(SimpleNamespace(), metrics={})
