"""The tools on small networks and digits, and which classes a pair shares."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmkd.analysis.load_pair import load_pair, pair_parser
from mmkd.analysis.pair import default_layers
from mmkd.configs import build_model
from mmkd.datasets import DigitImages
from mmkd.errors import ConfigError, DataError
from mmkd.testing import toy_classifier

ROOT = Path(__file__).resolve().parents[2]
NAMES = DigitImages.METAINFO['classes']
STAGES = [f'backbone.layer{n}' for n in (1, 2, 3, 4)]


def save(folder, name, names=NAMES, classes=None):
    """Write a config and random weights of a classifier; return their paths."""
    cfg = Config(
        dict(
            model=toy_classifier(classes or len(names)),
            default_scope='mmpretrain',
            # What an inline teacher takes over from the student's config.
            test_dataloader=dict(dataset=dict(type='mmkd.DigitImages')),
        )
    )
    cfg.dump(folder / f'{name}.py')
    torch.manual_seed(sum(map(ord, name)))
    model = build_model(cfg)
    torch.nn.init.normal_(model.head.fc.weight)
    meta = dict(dataset_meta=dict(classes=names)) if names else {}
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / f'{name}.pth')
    return str(folder / f'{name}.py'), str(folder / f'{name}.pth')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('networks')
    save(folder, 'student')
    _, weights = save(folder, 'teacher')
    save(folder, 'six', NAMES[:6])
    teacher = dict(config=dict(toy_classifier()), checkpoint=weights)
    loss = dict(loss_kd=dict(type='KDLoss', on='logits'))
    cfg = Config.fromfile(folder / 'student.py')
    student = cfg.model.to_dict()
    cfg.model = dict(
        type='mmkd.Distiller', student=student, teacher=teacher, losses=loss
    )
    cfg.dump(folder / 'kd.py')
    return folder


def arguments(folder, config='kd', weights='student', teacher=None, *more):
    given = [folder / f'{config}.py', folder / f'{weights}.pth', '--dataset', 'digits']
    given += ['--cache', folder / 'cache', *more]
    if teacher:
        given += ['--teacher-config', folder / f'{teacher}.py']
        given += ['--teacher-checkpoint', folder / f'{teacher}.pth']
    return list(map(str, given))


def pair(folder, *args, **kwargs):
    return load_pair(pair_parser('').parse_args(arguments(folder, *args, **kwargs)))


def test_of_a_file_of_several_networks_the_teacher_is_taken(folder):
    wanted = torch.load(folder / 'teacher.pth')['state_dict']
    both = {f'teacher.{key}': value for key, value in wanted.items()}
    both.update({f'student.{key}': value + 1 for key, value in wanted.items()})
    torch.save(dict(state_dict=both), folder / 'both.pth')
    cfg = Config.fromfile(folder / 'kd.py')
    cfg.model.teacher.update(checkpoint=str(folder / 'both.pth'), prefix='teacher.')
    cfg.dump(folder / 'both.py')
    state = pair(folder, config='both').teacher.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in wanted.items())


@pytest.fixture
def call(monkeypatch, capsys, folder):
    """Run a tool in this process; return what it printed."""

    def call_here(name, *args):
        tool = str(ROOT / f'tools/analysis/{name}.py')
        monkeypatch.setattr(sys, 'argv', [tool, *args])
        runpy.run_path(tool, run_name='__main__')
        return capsys.readouterr().out

    return call_here


def test_cka(call, folder, tmp_path):
    """Of a Distiller's student and teacher, and of the teacher and itself."""
    printed = call('cka', *arguments(folder), '--out', str(tmp_path))
    assert '| pooled ' in printed and str(tmp_path / 'cka.png') in printed
    written = json.loads((tmp_path / 'cka.json').read_text())
    assert list(written['rows']) == [*STAGES, 'pooled']
    assert written['values']['samples'] == 359
    title = 'Linear CKA of layers: student kd, teacher teacher, 359 images of digits'
    assert written['title'].startswith(title)
    assert written['rows'][STAGES[0]][STAGES[0]] < 0.99
    options = ('--student-layers', STAGES[1], 'logits', '--debiased')
    same = arguments(folder, 'teacher', 'teacher', 'teacher', *options)
    call('cka', *same, '--out', str(tmp_path / 'same'))
    rows = json.loads((tmp_path / 'same/cka.json').read_text())['rows']
    assert list(rows) == [STAGES[1], 'logits']
    assert rows[STAGES[1]][STAGES[1]] == pytest.approx(1)


def test_logit_gap_of_a_student_with_fewer_classes(call, folder, tmp_path):
    six = arguments(folder, 'six', 'six', 'teacher')
    call('logit_gap', *six, '--out', str(tmp_path))
    written = json.loads((tmp_path / 'logit_gap.json').read_text())
    assert written['values']['classes'] == list(NAMES[:6])
    assert 'first 6 of 10 classes' in written['title']
    labels = np.asarray(DigitImages('test').get_gt_labels())
    assert written['values']['samples'] == (labels < 6).sum()
    assert written['values']['logits']['mean_gap'] > 0.01
    same = arguments(folder, 'teacher', 'teacher', 'teacher')
    call('logit_gap', *same, '--out', str(tmp_path / 'same'))
    written = json.loads((tmp_path / 'same/logit_gap.json').read_text())
    assert written['values']['logits']['mean_gap'] == pytest.approx(0, abs=1e-12)


def test_tsne(call, folder, tmp_path):
    options = (
        '--classes',
        NAMES[7],
        NAMES[2],
        '--per-class',
        '20',
        '--perplexity',
        '5',
    )
    call('tsne', *arguments(folder), *options, '--out', str(tmp_path))
    written = json.loads((tmp_path / 'tsne.json').read_text())['values']
    assert written['classes'] == [NAMES[7], NAMES[2]]
    assert sorted(set(written['labels'])) == [2, 7] and len(written['student']) == 40
    with pytest.raises(SystemExit, match="no class 'dog', but 10 such as"):
        call('tsne', *arguments(folder), '--classes', 'dog')


def test_calibration_as_a_user_runs_it(folder, tmp_path):
    command = [sys.executable, ROOT / 'tools/analysis/calibration.py']
    command += [*arguments(folder), '--limit', '100']
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    done = subprocess.run(
        list(map(str, command)), cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    out = tmp_path / 'work_dirs/analysis/kd'
    files = {f'{n}.{e}' for n in ('agreement', 'calibration') for e in ('json', 'png')}
    assert {path.name for path in out.iterdir()} == files
    written = json.loads((out / 'calibration.json').read_text())['values']
    two = pair(folder, 'kd', 'student', None, '--limit', '100')
    labels = two.labels()
    assert np.bincount(labels).tolist() == [10] * 10
    for name, logits in zip(('student', 'teacher'), two.logits()):
        right = (logits.argmax(1) == labels).mean()
        assert written[name]['accuracy'] == pytest.approx(right)


def test_stages_of_backbones():
    class Network:
        model = torch.nn.Module()

    Network.model.backbone = torch.nn.Module()
    stages = torch.nn.Sequential(torch.nn.Sequential(torch.nn.ReLU()), torch.nn.ReLU())
    Network.model.backbone.stages = stages
    expected = ('backbone.stages.0', 'backbone.stages.1', 'pooled')
    assert default_layers(Network) == expected


def test_no_teacher(folder):
    with pytest.raises(ConfigError, match='no single teacher .*--teacher-config'):
        pair(folder, 'student')
    only = ('--teacher-config', folder / 'teacher.py')
    with pytest.raises(ConfigError, match='--teacher-checkpoint'):
        pair(folder, 'student', 'student', None, *only)


def test_a_given_teacher_goes_before_the_distillers(folder):
    assert pair(folder).teacher.name == 'teacher'
    two = pair(folder, 'kd', 'student', 'six', '--names', 'small', 'large')
    assert two.teacher.classes == NAMES[:6]
    assert two.where() == 'student small, teacher large, 359 images of digits (test)'


def test_classes_that_do_not_fit(folder):
    other = ('zebra', *NAMES[1:])
    save(folder, 'other', other)
    with pytest.raises(
        DataError, match=f"student .* data set .* 'zebra' and '{NAMES[0]}'"
    ):
        pair(folder, 'other', 'other', 'teacher').shared()
    save(folder, 'unnamed', names=None, classes=10)
    assert pair(folder, 'unnamed', 'unnamed', 'teacher').shared().classes == NAMES
    save(folder, 'lost', names=None, classes=7)
    with pytest.raises(ConfigError, match='lost has 7 logits, .* names 0 classes'):
        pair(folder, 'lost', 'lost', 'teacher').shared()


def test_names_that_occur_twice_are_numbered(folder):
    save(folder, 'cranes', ('crane', 'owl', 'crane'))
    two = pair(folder, 'cranes', 'cranes', 'cranes')
    two.classes = ('crane', 'owl', 'crane')
    two.dataset = two.dataset.get_subset(np.flatnonzero(two.labels() < 3).tolist())
    assert two.shared().classes == ('crane (0)', 'owl', 'crane (2)')
