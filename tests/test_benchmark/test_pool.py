"""Plans, pools and cells, with a stand-in for tools/train.py that learns nothing."""

import json
import os
import signal
import threading
import time

import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmkd.benchmark import Cell, Pool, plan
from mmkd.errors import CheckpointError, ConfigError, DataError
from mmkd.files import read_json
from mmkd.locks import locked

#: Logs and saves as MMEngine does, by epochs or iterations as the config says; 'fail',
#: 'slow' and 'empty' configs do what they say.
TRAIN = """
import json, os, pathlib, shutil, sys, time
config, folder = sys.argv[1], pathlib.Path(sys.argv[3])
resume = sys.argv[5:]
start = int(resume[0].split('_')[-1][:-4]) if resume else 0
print('threads', os.environ.get('OMP_NUM_THREADS'))
if 'fail_' in config:
    sys.exit('no such thing')
logs = folder / time.strftime('%H%M%S') / 'vis_data'
logs.mkdir(parents=True, exist_ok=True)
by_epoch = 'max_epochs' in pathlib.Path(config).read_text()
for step in range(start + 1, 4):
    name = f'epoch_{step}.pth' if by_epoch else f'iter_{step}.pth'
    shutil.copy(pathlib.Path(__file__).with_name(f'saved_{step}.pth'), folder / name)
    score = [50, 70, 60][step - 1]
    if by_epoch:
        lines = [dict(loss=1 / step, epoch=step, step=10 * step)]
        lines += [{'accuracy/top1': score, 'time': 1, 'step': step}]
    else:
        lines = [dict(loss=1 / step, iter=step, step=step)]
        lines += [{'coco/bbox_mAP': score / 100, 'time': 1, 'step': step}]
    if 'empty_' in config and step == 1:
        lines[1] = {'time': 1, 'step': 1}
    with open(logs / 'scalars.json', 'a') as file:
        file.writelines(json.dumps(line) + chr(10) for line in lines)
    if 'slow_' in config:
        time.sleep(60)
"""
CONFIG = """
model = dict(type='ImageClassifier', head=dict(type='LinearClsHead', num_classes=2))
train_dataloader = dict(dataset=dict(type='X', data_root={root!r}))
val_dataloader = train_dataloader
val_evaluator = dict(type='Accuracy')
train_cfg = dict(by_epoch=True, max_epochs=3)
published = dict(kd=70.0)
"""
#: What makes a detector's config of it.
BY_ITERATIONS = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1)
val_evaluator = dict(type='CocoMetric')
"""


class Scenes(BaseDataset):
    """A data set of one sample, and how often it was opened."""

    opened = 0

    def load_data_list(self):
        Scenes.opened += 1
        return [dict(data_root=self.data_root)]


for name in 'XY':
    DATASETS.register_module(name=name, module=Scenes)


def save(path, step):
    """Write what a training of one parameter would."""
    state = dict(meta=dict(epoch=step, iter=step), state_dict=dict(w=torch.zeros(1)))
    torch.save(dict(state, optimizer=dict(state={}), message_hub=dict(a={})), path)


@pytest.fixture
def make(tmp_path):
    """Write configs of these methods; return their paths."""
    (tmp_path / 'train.py').write_text(TRAIN)
    for step in (1, 2, 3):
        save(tmp_path / f'saved_{step}.pth', step)

    def write(*methods, more=''):
        paths = [tmp_path / f'{method}_a_b.py' for method in methods]
        for path in paths:
            path.write_text(CONFIG.format(root=str(tmp_path)) + more)
        return [str(path) for path in paths]

    return write


def go(tmp_path, cells, lines=None, **kwargs):
    lines = [] if lines is None else lines
    with locked(tmp_path / 'out') as lock:
        pool = Pool(tmp_path / 'train.py', lock, say=lines.append, **kwargs)
        return pool, pool.run(cells)


def test_results_of_two_at_once_and_no_second_time(make, tmp_path):
    cells = plan(make('none', 'kd'), [0, 1], tmp_path / 'out')
    pool, stopped = go(tmp_path, cells, jobs=2)
    assert stopped is None and not pool.failures
    for cell in cells:
        result = cell.result()
        assert result['last'] == dict(step=3, value=60)
        assert result['best'] == dict(step=2, value=70)
        assert result['curve'] == [[1, 50], [2, 70], [3, 60]]
        assert result['train_loss'] == [[1, 1.0], [2, 0.5], [3, 1 / 3]]
        assert (result['seed'], result['jobs']) == (cell.seed, 2)
        assert read_json(cell.folder / 'cell.json')['status'] == 'finished'
    written = [cell.folder.joinpath('train.log').stat().st_mtime_ns for cell in cells]
    lines = []
    go(tmp_path, plan(make('none', 'kd'), [0, 1], tmp_path / 'out'), lines)
    again = [cell.folder.joinpath('train.log').stat().st_mtime_ns for cell in cells]
    assert lines == [] and written == again


def test_a_detector_trains_by_iterations(make, tmp_path):
    """No detection at all, of which COCO's evaluator logs nothing, is an AP of 0."""
    cells = plan(make('empty', 'kd', more=BY_ITERATIONS), [0], tmp_path / 'out')
    lines = []
    pool, _ = go(tmp_path, cells, lines)
    assert not pool.failures
    empty, kd = (cell.result() for cell in cells)
    assert empty['curve'] == [[1, 0.0], [2, 0.7], [3, 0.6]]
    assert kd['curve'] == [[1, 0.5], [2, 0.7], [3, 0.6]]
    assert kd['train_loss'] == [[1, 1.0], [2, 0.5], [3, 1 / 3]]
    assert kd['last'] == dict(step=3, value=0.6)
    assert cells[0].resume_point().name == 'iter_3.pth'
    assert any('kd_a_b seed 0: finished, box AP 60.0 % in' in line for line in lines)


def test_losses_of_iterations_are_those_since_the_last_validation(make, tmp_path):
    loop = '\ntrain_cfg = dict(by_epoch=False, max_iters=3, val_interval=2)'
    (cell,) = plan(make('kd', more=BY_ITERATIONS + loop), [0], tmp_path / 'out')
    go(tmp_path, [cell])
    assert cell.result()['train_loss'] == [[2, 0.75], [3, 1 / 3]]


def test_a_failing_cell_stops_no_other(make, tmp_path):
    cells = plan(make('fail', 'kd'), [0], tmp_path / 'out')
    pool, _ = go(tmp_path, cells)
    assert list(pool.failures) == ['fail_a_b seed 0']
    assert 'exit status 1' in pool.failures['fail_a_b seed 0']
    assert 'no such thing' in pool.failures['fail_a_b seed 0']
    assert not cells[0].result() and cells[1].result()
    assert cells[0].account()['status'] == 'failed'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_trainings_and_time_adds_up(make, tmp_path, number):
    (cell,) = plan(make('slow'), [0], tmp_path / 'out')
    before = signal.getsignal(number)

    def interrupt():
        while not cell.curve()[0]:
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    lines, start = [], time.monotonic()
    _, stopped = go(tmp_path, [cell], lines, interval=0.2)
    thread.join()
    assert stopped == number and time.monotonic() - start < 9
    assert signal.getsignal(number) is before
    assert any('slow_a_b seed 0: epoch 1/3, top-1 50.00 %' in line for line in lines)
    # Nothing runs on: the lock, which a training inherits, is free.
    with locked(tmp_path / 'out', patience=0.1):
        pass
    spent = cell.account()['wall_seconds']
    assert spent >= 0.5 and cell.account()['status'] == 'stopped'
    text = TRAIN.replace("'slow_' in config", 'False')
    (tmp_path / 'train.py').write_text(text)
    lines = []
    go(tmp_path, plan(make('slow'), [0], tmp_path / 'out'), lines)
    assert lines[0] == 'slow_a_b seed 0: started, from epoch_1.pth'
    assert cell.result()['wall_seconds'] > spent
    assert cell.result()['curve'] == [[1, 50], [2, 70], [3, 60]]


def test_threads_are_shared_out(make, tmp_path, monkeypatch):
    monkeypatch.setattr('mmkd.benchmark.pool.get_device', lambda: 'cpu')
    monkeypatch.setattr('mmkd.benchmark.pool._cores', lambda: 6)
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    (cell,) = plan(make('kd'), [0], tmp_path / 'out')
    go(tmp_path, [cell], jobs=2)
    assert 'threads 3' in cell.folder.joinpath('train.log').read_text()


def test_jobs_spread_over_visible_gpus(make, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.setattr('mmkd.benchmark.pool.device', lambda gpu: f'GPU {gpu}')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,6')
    text = TRAIN.replace('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES')
    paths = make('a', 'b', 'c', 'd')
    (tmp_path / 'train.py').write_text(text.replace('fail_', 'a_b'))
    cells = plan(paths, [0], tmp_path / 'out')
    go(tmp_path, cells, jobs=4, gpus=[0, 1])
    logs = [cell.folder.joinpath('train.log').read_text() for cell in cells]
    assert [log.split('threads ')[1][0] for log in logs] == ['4', '6', '4', '6']
    with pytest.raises(ConfigError, match='--gpus 2: torch sees 2'):
        Pool(tmp_path / 'train.py', 0, gpus=[1, 2])


def test_resumes_at_the_first_validation_that_is_missing(make, tmp_path):
    """It is made up for there."""
    (cell,) = plan(make('kd'), [0], tmp_path / 'out')
    assert cell.resume_point() is None
    logs = cell.folder / '1/vis_data/scalars.json'
    logs.parent.mkdir(parents=True)
    for epoch in (1, 2, 3):
        save(cell.folder / f'epoch_{epoch}.pth', epoch)
    line = json.dumps({'accuracy/top1': 5.0, 'step': 1})
    logs.write_text(f'{line}\n{{"accuracy/to')
    assert cell.resume_point().name == 'epoch_2.pth'
    line = json.dumps({'accuracy/top1': 6.0, 'step': 2})
    logs.write_text(f'{logs.read_text().splitlines()[0]}\n{line}\n')
    assert cell.resume_point().name == 'epoch_3.pth'
    # A file that a kill cut off is no checkpoint.
    path = cell.folder / 'epoch_3.pth'
    path.write_bytes(path.read_bytes()[:-9])
    assert cell.resume_point().name == 'epoch_2.pth'
    for epoch in (1, 2):
        path.with_name(f'epoch_{epoch}.pth').write_bytes(b'')
    lines = []
    pool, _ = go(tmp_path, [cell], lines)
    assert 'cannot be started: none of the 3 checkpoints' in pool.failures[cell.name]


def test_an_end_without_the_last_validation_is_a_failure(make, tmp_path):
    (cell,) = plan(make('kd'), [0], tmp_path / 'out')
    (tmp_path / 'train.py').write_text(TRAIN.replace('1, 4)', '1, 3)'))
    pool, _ = go(tmp_path, [cell])
    assert 'no accuracy/top1 of epoch 3' in pool.failures[cell.name]
    assert not cell.result()


def test_two_benchmarks_do_not_share_a_folder(tmp_path):
    with locked(tmp_path):
        with pytest.raises(ConfigError, match='in use'):
            with locked(tmp_path, patience=0.1):
                pass


@pytest.mark.parametrize(
    'change, limits',
    [
        (('max_epochs=3', 'max_epochs=4'), {}),
        ((), dict(epochs=2)),
        ((), dict(options={'model.a': 1})),
    ],
)
def test_other_settings_are_not_mixed(make, tmp_path, change, limits):
    (path,) = make('kd')
    (cell,) = plan([path], [0], tmp_path / 'out')
    cell.note(**cell.facts)
    if change:
        with open(path) as file:
            text = file.read().replace(*change)
        with open(path, 'w') as file:
            file.write(text)
    # Another seed of the same row is no way around it.
    with pytest.raises(ConfigError, match='another --out'):
        plan([path], [1], tmp_path / 'out', **limits)


def test_published_figures_may_change(make, tmp_path):
    (cell,) = plan(make('kd'), [0], tmp_path / 'out')
    cell.note(**cell.facts)
    plan(make('kd', more='published = dict(kd=1.0)'), [0], tmp_path / 'out')


def test_mistakes_are_found_before_the_first_training(make, tmp_path):
    def refused(error, says, *configs, seeds=(0,), **kwargs):
        with pytest.raises(error, match=says):
            plan(configs, seeds, tmp_path / 'out', **kwargs)

    kd, none = make('kd', 'none')
    refused(ConfigError, 'kd_a_b is given twice', kd, none, kd)
    refused(ConfigError, '--seeds: 1 is given twice', kd, seeds=[0, 1, 1])
    refused(ConfigError, 'missing_a_b.py cannot be read', 'missing_a_b.py')
    refused(ConfigError, 'kd_a_b.py: --epochs 9', kd, epochs=9)
    options = {'train_dataloader.dataset.data_root': str(tmp_path / 'no')}
    refused(DataError, 'is no folder', kd, options=options)
    teacher = dict(config=dict(model=dict(type='A')), checkpoint='no.pth')
    model = dict(type='mmkd.Distiller', student=dict(), teacher=teacher, losses={})
    (kd,) = make('kd', more=f'model = {model}')
    refused(CheckpointError, 'no.pth does not exist; train or convert', kd)
    model['teacher'].update(config='configs/t.py', checkpoint='work/t/a.pth')
    (kd,) = make('kd', more=f'model = {model}')
    how = 'does not exist; make it with python tools/train.py configs/t.py --work-dir '
    refused(CheckpointError, f'{how}work/t, or', kd)
    (kd,) = make('kd', more='val_evaluator = None')
    refused(ConfigError, 'needs val_evaluator', kd)
    (kd,) = make('kd', more="visualizer = dict(vis_backends=[dict(type='X')])")
    refused(ConfigError, 'LocalVisBackend', kd)
    both = "val_evaluator = dict(type='CocoMetric', metric=['bbox', 'segm'])"
    (kd,) = make('kd', more=both)
    refused(ConfigError, r'coco/bbox_mAP and coco/segm_mAP, .*benchmark=dict', kd)
    (kd,) = make('kd', more="val_evaluator = dict(type='VOCMetric')")
    refused(ConfigError, r'\(VOCMetric\) is not known here', kd)
    (kd,) = make('kd', more='benchmark = dict(metrics=1)')
    refused(ConfigError, 'benchmark.metrics is unknown; it takes method, pair', kd)
    (kd,) = make('kd', more="train_cfg = dict(type='MyLoop', max_epochs=3)")
    refused(ConfigError, 'own loops only; got .*MyLoop', kd)
    (kd,) = make('kd', more=BY_ITERATIONS + 'train_cfg.update(val_begin=4)')
    refused(ConfigError, 'val_begin 4 is after the end of 3 iterations', kd)
    (kd,) = make('kd', more='default_hooks = dict(logger=None)')
    refused(ConfigError, 'default_hooks.logger is None', kd)
    (kd,) = make('kd', more="benchmark = dict(method='none')")
    refused(ConfigError, 'kd_a_b and none_a_b are both named "none, a_b"', kd, none)
    (kd,) = make('kd', more=BY_ITERATIONS)
    refused(ConfigError, 'one table has one metric', none, kd)
    folder = tmp_path / 'out/kd_a_b/seed0'
    folder.mkdir(parents=True)
    (folder / 'epoch_1.pth').touch()
    refused(ConfigError, 'not of a benchmark', *make('kd'))


def test_data_are_opened_once_for_all_trainings_on_them(make, tmp_path, monkeypatch):
    monkeypatch.setattr(Scenes, 'opened', 0)
    other = str(tmp_path / 'other')
    os.mkdir(other)
    configs = make('none', 'kd', 'dkd')
    val = dict(dataset=dict(type='Y', data_root=other))
    configs += make('x', more=f'val_dataloader = {val}')
    cells = plan(configs, [0, 1], tmp_path / 'out')
    # Two loaders of the first three configs with two seeds each, two of the last.
    assert len(cells) == 8 and Scenes.opened == 4


@pytest.mark.parametrize('method', ['load_data_list', 'prepare_data'])
def test_a_fault_of_the_data_is_found_once_before_the_first_training(
    make, tmp_path, monkeypatch, method
):
    calls = []

    def broken(self, *args):
        calls.append(method)
        raise KeyError('categories')

    monkeypatch.setattr(Scenes, method, broken)
    says = "train_dataloader: .*KeyError: 'categories'"
    with pytest.raises(DataError, match=says):
        plan(make('none', 'kd'), [0, 1, 2, 3], tmp_path / 'out')
    assert calls == [method]


def test_the_seed_is_in_the_config_and_not_in_the_hash(make, tmp_path):
    first, second = plan(make('kd'), [3, 4], tmp_path / 'out')
    assert isinstance(first, Cell)
    assert (first.cfg.randomness.seed, second.cfg.randomness.seed) == (3, 4)
    assert first.facts['config'] == second.facts['config']


@pytest.mark.parametrize(
    'evaluator, metric',
    [
        (dict(type='Accuracy', topk=(1, 5)), 'accuracy/top1'),
        (dict(type='mmpretrain.Accuracy', topk=5), 'accuracy/top5'),
        ([dict(type='SingleLabelMetric'), dict(type='Accuracy')], 'accuracy/top1'),
        (dict(type='mmdet.CocoMetric', metric='segm'), 'coco/segm_mAP'),
    ],
)
def test_the_evaluator_gives_the_metric(make, tmp_path, evaluator, metric):
    configs = make('kd', more=f'val_evaluator = {evaluator}')
    (cell,) = plan(configs, [0], tmp_path / 'out')
    assert cell.facts['metric'] == metric


def test_what_a_config_says_of_itself(make, tmp_path):
    more = "benchmark = dict(method='a', pair='b', metric='coco/bbox_mAP_50')"
    (cell,) = plan(make('kd', more=more), [0], tmp_path / 'out')
    facts = cell.facts
    assert (facts['method'], facts['pair']) == ('a', 'b')
    assert cell.metric.say(0.25) == 'box AP50 25.0 %'
    (plain,) = plan(make('kd'), [0], tmp_path / 'out')
    assert plain.facts['config'] == facts['config']  # what is trained is the same
    # Any figure of the log will do, as it is there.
    options = {'benchmark.metric': 'my/score'}
    (cell,) = plan(make('kd'), [0], tmp_path / 'out', options)
    assert cell.metric.say(0.25) == 'my/score 0.25'


def test_a_name_without_networks_is_a_method_of_its_folder(make, tmp_path):
    (path,) = make('kd')
    (tmp_path / 'digits').mkdir()
    short = tmp_path / 'digits/student.py'
    short.write_text(open(path).read())
    (cell,) = plan([str(short)], [0], tmp_path / 'out')
    assert (cell.facts['method'], cell.facts['pair']) == ('student', 'digits')


@pytest.mark.parametrize('more, by_epoch', [('', True), (BY_ITERATIONS, False)])
def test_every_validation_has_a_step_of_its_own_in_the_log(
    make, tmp_path, more, by_epoch
):
    """By MMEngine's default, those of a loop by iterations all are of epoch 0."""
    wrong = f'\ndefault_hooks = dict(logger=dict(log_metric_by_epoch={not by_epoch}))'
    for text in ('', wrong):
        (cell,) = plan(make('kd', more=more + text), [0], tmp_path / 'out')
        logger = (cell.cfg.get('default_hooks') or {}).get('logger') or {}
        assert logger.get('log_metric_by_epoch', True) == by_epoch


def test_wrapped_data_sets_are_those_inside(make, tmp_path):
    inner = dict(type='X', data_root=str(tmp_path), ann_file='pool.json')
    other = dict(type='RepeatDataset', times=2, dataset=dict(inner, type='Y'))
    dataset = dict(type='ConcatDataset', datasets=[inner, other])
    (tmp_path / 'pool.json').touch()
    more = f'val_dataloader = dict(dataset={dataset})'
    (cell,) = plan(make('kd', more=more), [0], tmp_path / 'out')
    assert cell.facts['dataset'] == 'X, pool.json and Y, pool.json'
