"""The quickstart, whole but shrunken: what it writes, and that it continues."""

import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch

from mmkd.locks import locked

ROOT = Path(__file__).parents[2]


def quickstart(work_dir, *arguments):
    """Run the tool in a process of its own; return its status and output."""
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/quickstart.py', '--work-dir', work_dir]
        + ['--scale', '0.02', *arguments],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def checkpoints(work_dir):
    """The last checkpoint and the one before it."""
    paths = work_dir.glob('iter_*.pth')
    return sorted(paths, key=lambda path: -int(path.stem.split('_')[1]))[:2]


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work') / 'quickstart'
    status, output, errors = quickstart(work_dir)
    assert status == 0, errors
    return work_dir, output


def test_shows_every_step_and_what_to_do_next(finished):
    work_dir, output = finished
    for step in range(1, 7):
        assert f'[{step}/6] ' in output
    assert re.search(r'iteration +(\d+)/\1   loss \d+\.\d+   0:00 left', output)
    assert f'tools/test.py configs/quickstart/student.py {work_dir}/luminet/' in output
    # Neither the Runner's log nor pycocotools' talk.
    assert 'mmengine' not in output and 'Average Precision' not in output


def test_writes_table_figures_and_pictures(finished):
    work_dir, output = finished
    summary = json.loads((work_dir / 'report.json').read_text())
    assert 'SHRUNKEN to 0.02' in summary['title']
    models = summary['models']
    students = ['student', 'student with KD', 'student with LumiNet']
    assert list(models) == ['teacher', *students]
    for row in models.values():
        assert 0 <= row['AP'] <= row['AP50'] <= 1
        assert row['ms per image'] > 0
    teacher, *sizes = [row['parameters'] for row in models.values()]
    assert len(set(sizes)) == 1 and teacher > 3 * sizes[0]
    table = (work_dir / 'report.md').read_text()
    assert table in output and '| student with LumiNet |' in table
    for name in ('detections.png', 'curves.png'):
        assert min(cv2.imread(str(work_dir / name)).shape[:2]) > 300


def test_the_distilled_checkpoint_is_the_students(finished):
    keys = {}
    for name in ('student', 'kd', 'luminet'):
        path, _ = checkpoints(finished[0] / name)
        keys[name] = list(torch.load(path, weights_only=False)['state_dict'])
    assert keys['student'] == keys['kd'] == keys['luminet']


def test_continues_where_it_stopped(finished):
    work_dir, _ = finished
    last, before_last = checkpoints(work_dir / 'luminet')
    last.write_bytes(last.read_bytes()[:-1000])
    (work_dir / 'settings.json').write_text('{"seed": 0, "scale": 0.02}')  # as of old
    student, _ = checkpoints(work_dir / 'student')
    written = student.stat().st_mtime_ns
    status, output, errors = quickstart(work_dir)
    assert status == 0, errors
    assert 'student: trained already' in output
    assert f'LumiNet: {last.name} is damaged, it is made again' in output
    assert f'student with LumiNet: resuming from {before_last.name}' in output
    assert student.stat().st_mtime_ns == written
    assert zipfile.ZipFile(last).testzip() is None


def here(monkeypatch, work_dir, *arguments):
    """Run the tool in this process, to where it ends early; return how it does."""
    arguments = ['--work-dir', str(work_dir), '--scale', '0.02', *arguments]
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / 'tools/quickstart.py'), run_name='__main__')
    return ended.value.code


def test_other_settings_are_kept_apart(finished, monkeypatch):
    error = here(monkeypatch, finished[0], '--seed', '1')
    assert re.fullmatch(r'error: .* choose another --work-dir or .*', error)


def test_two_do_not_share_a_work_dir(tmp_path, monkeypatch):
    with locked(tmp_path / 'work'):
        monkeypatch.setattr('mmkd.locks.locked', partial(locked, patience=0.1))
        error = here(monkeypatch, tmp_path / 'work')
    assert re.fullmatch(r'error: .*/work is in use by another run.*', error)
    assert not (tmp_path / 'work/settings.json').exists()


def test_an_interrupt_is_one_line(tmp_path, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmkd.datasets.make_digits', interrupt)
    assert here(monkeypatch, tmp_path) == 130
    assert capsys.readouterr().err == (
        'interrupted; run the same command again to continue\n'
    )


def test_a_work_dir_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    error = here(monkeypatch, tmp_path / 'file/work')
    assert re.fullmatch(r'error: .* written: .*/file is not a folder.*', error)
