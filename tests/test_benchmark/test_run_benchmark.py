"""The tool, run as a user runs it, with real trainings of two or three seconds."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmkd.locks import locked
from mmkd.testing import toy_classifier
from mmkd.visualization import read_scalars

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/run_benchmark.py'
NONE, KD = 'none_big_small', 'kd_big_small'
CONFIG = """
default_scope = 'mmpretrain'
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root={root!r},
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    ),
)
val_dataloader = dict(
    train_dataloader, sampler=dict(type='DefaultSampler', shuffle=False)
)
val_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg = dict(by_epoch=True, max_epochs=4)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9))
param_scheduler = dict(type='MultiStepLR', milestones=[2])
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
)
published = dict(none=60.0, kd=61.5)
"""
#: The quickstart's detectors on four scenes. The teacher is the student untrained.
DETECTOR = """
_base_ = {student!r}
data = dict(data_root={root!r}, digits=dict(num_train=4, num_val=2))
train_dataloader = dict(batch_size=2, dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={root!r} + '/annotations/instances_val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=3, val_interval=2)
param_scheduler = []
"""
TAUGHT = """
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(config=_base_.model, allow_untrained=True),
    losses=dict(loss_kd=dict(type='KDLoss', on='roi.logits')),
)
"""


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    """Write noisy images of three shades and configs; return these by name."""
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for label in range(3):
        (folder / f'images/{label}').mkdir(parents=True)
        for index in range(16):
            image = rng.normal(100 + 25 * label, 40, (32, 32, 3)).clip(0, 255)
            path = folder / f'images/{label}/{index}.png'
            cv2.imwrite(str(path), image.astype(np.uint8))
    student = toy_classifier(3).to_dict()
    teacher = dict(config=student, allow_untrained=True)
    kd = dict(loss_kd=dict(type='KDLoss', on='logits', weight=dict(warmup_epochs=2)))
    distiller = dict(type='mmkd.Distiller', student=student, teacher=teacher, losses=kd)
    models = {NONE: student, KD: distiller}
    text = CONFIG.format(root=str(folder / 'images'))
    for name, model in models.items():
        (folder / f'{name}.py').write_text(f'{text}model = {model}\n')
    return {name: str(folder / f'{name}.py') for name in models}


def start(*arguments):
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.Popen(
        [sys.executable, str(TOOL), *map(str, arguments)],
        cwd=ROOT,
        env=dict(env, PYTHONWARNINGS='ignore'),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call_here(monkeypatch, *arguments):
    """Run the tool in this process, which has imported everything already."""
    # Sums depend on the number of threads in their last digits.
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setattr(sys, 'argv', ['run_benchmark.py', *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


class NoJob:
    """Ends at once, as a training that cannot be built."""

    resumed_from = None
    gpu = None

    def __init__(self, cell, *args):
        self.cell = cell

    def poll(self):
        (self.cell.folder / 'train.log').write_text('no such model\n')
        return 1

    def signal(self, number):
        pass


class HereJob(NoJob):
    """Trains in this process, which has imported everything already."""

    def poll(self):
        cell = self.cell
        cell.prepare()
        arguments = ['train.py', cell.config, '--work-dir', cell.folder]
        # MMEngine's Runners of one name and second would share a log.
        arguments += ['--cfg-options', f'experiment_name={cell.stem}{cell.seed}']
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', [*map(str, arguments)])
            runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
        cell.note(wall_seconds=1.0)
        return 0


@pytest.fixture(scope='module')
def finished(configs, tmp_path_factory):
    out = tmp_path_factory.mktemp('benchmark') / 'out'
    command = [configs[NONE], configs[KD], '--seeds', 0, 1, '--out', out]
    command += ['--epochs', 2]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as output:
        patch.setattr('mmkd.benchmark.pool.Job', HereJob)
        call_here(patch, *command)
    return out, command, output.getvalue()


def result(out, name, seed):
    return json.loads((out / name / f'seed{seed}/result.json').read_text())


def test_two_configs_with_two_seeds(finished):
    out, _, output = finished
    for name in (NONE, KD):
        for seed in (0, 1):
            cell = result(out, name, seed)
            assert cell['seed'] == seed and cell['wall_seconds'] > 0
            assert [epoch for epoch, _ in cell['curve']] == [1, 2]
            assert cell['last'] == dict(step=2, value=cell['curve'][1][1])
            assert cell['best']['value'] == max(top1 for _, top1 in cell['curve'])
            assert [epoch for epoch, _ in cell['train_loss']] == [1, 2]
            assert re.fullmatch('[0-9a-f]{10}', cell['config'])
            assert f'{name} seed {seed}: finished' in output
    assert result(out, NONE, 0)['curve'] != result(out, NONE, 1)['curve']
    assert result(out, NONE, 0)['config'] != result(out, KD, 0)['config']
    losses = [loss for _, loss in result(out, NONE, 0)['train_loss']]
    assert losses[0] > losses[1]


def test_the_report_is_printed_and_says_that_it_is_reduced(finished):
    out, _, output = finished
    text = (out / 'results.md').read_text()
    assert text in output
    assert text.startswith('# Benchmark, REDUCED: 2 of 4 epochs\n')
    assert 'full protocol, not comparable' in text
    assert re.search(r'\| kd, big -> small +\|.* 61\.50 \|', text)
    for name in ('results.csv', 'results.json', 'curves.csv', 'curves.png'):
        assert (out / name).stat().st_size > 0


def test_again_nothing_is_trained(finished, monkeypatch, capsys):
    out, command, _ = finished

    def refuse(*args, **kwargs):
        raise AssertionError('a training was started')

    monkeypatch.setattr('mmkd.benchmark.pool.Job', refuse)
    call_here(monkeypatch, *command)
    assert (out / 'results.md').read_text() in capsys.readouterr().out
    (out / 'results.md').unlink()
    call_here(monkeypatch, '--report-only', '--out', out)
    assert (out / 'results.md').read_text() in capsys.readouterr().out


def test_other_settings_are_refused(finished, monkeypatch):
    _, command, _ = finished
    with pytest.raises(SystemExit, match='^error: .* another --out') as stopped:
        call_here(monkeypatch, *command, '--cfg-options', 'train_dataloader.seed=1')
    assert '\n' not in stopped.value.code


def test_killed_and_called_again_it_ends_the_same(
    finished, configs, tmp_path, monkeypatch
):
    """SIGKILL of the tool; the training ends with it and goes on with the next."""
    out = tmp_path / 'out'
    command = [configs[KD], '--seeds', 0, '--out', out, '--epochs', 2]
    folder = out / KD / 'seed0'
    tool = start(*command)
    while not read_scalars(folder, 'accuracy/top1')[0]:
        assert tool.poll() is None, tool.communicate()
        time.sleep(0.01)
    tool.send_signal(signal.SIGKILL)
    tool.communicate(timeout=10)
    with locked(out):  # what is left of the training holds it
        assert not (folder / 'result.json').exists()
        assert read_scalars(folder, 'accuracy/top1')[0] == [1]
    spent = json.loads((folder / 'cell.json').read_text())['wall_seconds']
    assert spent > 0

    call_here(monkeypatch, *command)
    again, undisturbed = result(out, KD, 0), result(finished[0], KD, 0)
    for key in ('config', 'seed', 'last', 'best', 'curve', 'train_loss'):
        assert again[key] == undisturbed[key], key
    assert again['wall_seconds'] > spent
    log = (folder / 'train.log').read_text()
    assert len(re.findall('^--- .* --resume .*epoch_[12].pth$', log, re.MULTILINE)) == 1


def test_a_failure_is_reported_at_the_end(configs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mmkd.benchmark.pool.Job', NoJob)
    with pytest.raises(SystemExit) as stopped:
        call_here(monkeypatch, configs[KD], '--seeds', 0, '--out', tmp_path / 'out')
    assert stopped.value.code == 1
    printed = capsys.readouterr()
    assert f'{KD} seed 0 failed: it ended with exit status 1' in printed.err
    assert 'no such model' in printed.err
    assert re.search(r'\| kd, big -> small +\| +failed: 0 \| +failed', printed.out)


@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_says_how_to_go_on(configs, tmp_path, monkeypatch, capsys, number, code):
    class Stopping(NoJob):
        def poll(self):
            os.kill(os.getpid(), number)

        def signal(self, sent):
            self.poll = lambda: -sent

    monkeypatch.setattr('mmkd.benchmark.pool.Job', Stopping)
    with pytest.raises(SystemExit) as stopped:
        call_here(monkeypatch, configs[KD], '--seeds', 0, '--out', tmp_path / 'out')
    assert stopped.value.code == code
    assert 'the same command goes on' in capsys.readouterr().err


def test_an_interrupt_before_the_first_training(tmp_path, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmkd.benchmark.plan', interrupt)
    with pytest.raises(SystemExit) as stopped:
        call_here(monkeypatch, 'a_b_c.py', '--out', tmp_path / 'out')
    assert stopped.value.code == 130
    assert capsys.readouterr().err == 'stopped; the same command goes on from here\n'


def test_a_fault_of_the_data_is_one_sentence(configs, tmp_path, monkeypatch):
    monkeypatch.setattr('mmkd.benchmark.pool.Job', None)  # none is started
    image = Path(configs[NONE]).parent / 'images/0/0.png'
    whole = image.read_bytes()
    image.write_bytes(whole[:9])
    try:
        with pytest.raises(SystemExit) as stopped:
            call_here(monkeypatch, *configs.values(), '--out', tmp_path / 'out')
    finally:
        image.write_bytes(whole)
    says = 'error: train_dataloader: the first sample of .* cannot be prepared .*'
    assert re.fullmatch(says, stopped.value.code)


def test_what_is_damaged_is_made_again(finished, tmp_path, monkeypatch, capsys):
    whole, command, _ = finished
    out = tmp_path / 'out'
    shutil.copytree(whole, out)
    first, second = (out / name / 'seed0' for name in (NONE, KD))
    (first / 'cell.json').write_text('{"stem"')
    (second / 'result.json').write_text((second / 'result.json').read_text()[:99])
    command = [str(out) if part == whole else part for part in command]
    monkeypatch.setattr('mmkd.benchmark.pool.Job', HereJob)
    call_here(monkeypatch, *command)
    assert capsys.readouterr().out.count(': started') == 1
    for key in ('config', 'last', 'best', 'curve', 'train_loss'):
        assert result(out, KD, 0)[key] == result(whole, KD, 0)[key], key
    account, before = (
        json.loads((folder / NONE / 'seed0/cell.json').read_text())
        for folder in (out, whole)
    )
    assert account and account.items() <= before.items()


def test_the_result_of_a_cell_that_is_not_asked_for_is_not_deleted(
    finished, configs, tmp_path, monkeypatch
):
    whole, command, _ = finished
    shutil.copytree(whole, tmp_path / 'out')
    damaged = tmp_path / 'out' / KD / 'seed1/result.json'
    damaged.write_text('{')
    command = [configs[KD], '--seeds', 0, '--epochs', 2, '--out', tmp_path / 'out']
    with pytest.raises(SystemExit, match=f'^error: {damaged} is damaged .*delete it'):
        call_here(monkeypatch, *command)
    assert damaged.read_text() == '{'


def test_detectors_are_cells_too(tmp_path, monkeypatch, capsys):
    """By iterations, judged by AP, and named by their files and folder."""
    student = str(ROOT / 'configs/quickstart/student.py')
    text = DETECTOR.format(student=student, root=str(tmp_path / 'digits'))
    configs = [tmp_path / 'cells/student.py', tmp_path / 'cells/kd.py']
    configs[0].parent.mkdir()
    configs[0].write_text(text)
    configs[1].write_text(text + TAUGHT)
    monkeypatch.setattr('mmkd.benchmark.pool.Job', HereJob)
    out = tmp_path / 'out'
    call_here(monkeypatch, *configs, '--seeds', 0, '--out', out)
    printed = capsys.readouterr().out
    assert 'Benchmark, as configured: 3 iterations' in printed
    assert 'last box AP (%)' in printed
    assert 'Metric: box AP (%) on mmkd.DigitsDataset, instances_val.json' in printed
    row = r'\| kd, cells +\| +0 \| +\d\.\d \| +\d\.\d \| +[+-]\d\.\d \|'
    assert re.search(row, printed)
    assert [step for step, _ in result(out, 'kd', 0)['curve']] == [2, 3]
    assert (out / 'kd/seed0/iter_3.pth').exists()
