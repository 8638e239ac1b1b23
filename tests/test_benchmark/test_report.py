"""The report of made-up results."""

import csv
import json
import os

import cv2
import pytest

from mmkd.benchmark import write_report
from mmkd.errors import ConfigError
from mmkd.visualization import Artifact

REQUEST = dict(epochs=None, classes=None, fraction=1.0, options=None)
TOP1 = dict(metric='accuracy/top1', unit='epoch', length=240)
AP = dict(metric='coco/bbox_mAP', unit='iteration', length=400)


def put(out, method, seed, last=None, best=None, reduced=(), **more):
    cell = dict(
        TOP1,
        method=method,
        pair='resnet56_resnet20',
        alone=method == 'none',
        student='a',
        seed=seed,
        config='0123456789',
        published=dict(none=69.06, kd=70.66),
        reduced=list(reduced),
        request=dict(REQUEST),
        dataset='mmkd.CIFAR100, split test',
        status='failed',
        wall_seconds=60.0 + seed,
        revisions=['abc'],
        versions=dict(mmkd='0', torch='2'),
        device='a device',
        date='2024-01-01',
    )
    cell.update(more)
    cell.setdefault('stem', f'{method}_{cell["pair"]}')
    folder = out / cell['stem'] / f'seed{seed}'
    folder.mkdir(parents=True)
    (folder / 'cell.json').write_text(json.dumps(cell))
    if last is not None:
        cell.update(
            last=dict(step=2, value=last),
            best=dict(step=1, value=best),
            curve=[[1, best], [2, last]],
            train_loss=[[1, 2.5], [2, 1.5]],
        )
        (folder / 'result.json').write_text(json.dumps(cell))


def put_old(out, method, last):
    """A result as it was written before other metrics than top-1 were known."""
    put(out, method, 0, last, last)
    folder = out / f'{method}_resnet56_resnet20/seed0'
    for name in ('cell.json', 'result.json'):
        cell = json.loads((folder / name).read_text())
        for key in ('alone', 'student', 'metric', 'unit'):
            del cell[key]
        cell['max_epochs'] = cell.pop('length')
        for key in {'last', 'best'} & set(cell):
            cell[key] = dict(epoch=cell[key]['step'], top1=cell[key]['value'])
        (folder / name).write_text(json.dumps(cell))


def table(out):
    with open(out / 'results.csv') as file:
        return {row['method']: row for row in csv.DictReader(file)}


def cells_of(text, start):
    line = next(line for line in text.splitlines() if line.startswith(f'| {start}'))
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_means_spread_and_gain(tmp_path):
    for seed, (last, best) in enumerate([(50.0, 51.0), (53.0, 53.0), (53.0, 55.0)]):
        put(tmp_path, 'kd', seed, last, best)
    for seed, last in enumerate([48.0, 49.0]):
        put(tmp_path, 'none', seed, last, last)
    put(tmp_path, 'dkd', 0, 60.0, 61.0)
    text = write_report(tmp_path)
    assert [*table(tmp_path)] == ['none', 'dkd', 'kd']
    kd = table(tmp_path)['kd']
    assert float(kd['last_mean']) == pytest.approx(52.0)
    assert float(kd['last_std']) == pytest.approx(3**0.5)
    assert float(kd['best_mean']) == pytest.approx(53.0)
    assert float(kd['best_std']) == pytest.approx(2.0)
    assert float(kd['gain']) == pytest.approx(3.5)
    assert float(kd['published_gain']) == pytest.approx(1.6)
    assert float(kd['wall_seconds']) == pytest.approx(61.0)
    assert cells_of(text, 'kd,') == [
        'kd, resnet56 -> resnet20',
        '0 1 2',
        '52.00 ± 1.73',
        '53.00 ± 2.00',
        '+3.50',
        '70.66',
        '+1.60',
        '0:01:01',
        '0123456789',
        'abc',
    ]
    assert cells_of(text, 'dkd,')[2:7] == ['60.00', '61.00', '+11.50', '-', '-']
    assert cells_of(text, 'none,')[4] == '-'
    assert text.startswith('# Benchmark, as configured: 240 epochs\n')
    assert 'not comparable' not in text
    for part in ('mmkd.CIFAR100, split test', '2024-01-01', 'torch 2', 'a device'):
        assert part in text
    assert text == (tmp_path / 'results.md').read_text()


def test_gain_needs_the_baseline_of_the_same_pair(tmp_path):
    put(tmp_path, 'kd', 0, 50.0, 50.0)
    put(tmp_path, 'none', 0, 40.0, 40.0, pair='a_b')
    assert table_gain(tmp_path) == ''


def table_gain(out, method='kd'):
    write_report(out)
    return table(out)[method]['gain']


def put_quickstart(out):
    """Two seeds of a student and a method, named by files and not by networks."""
    for seed in (0, 1):
        more = dict(AP, pair='quickstart', published={}, stem='student')
        put(out, 'student', seed, 0.25 + seed / 50, 0.27, alone=True, **more)
        more['stem'] = 'luminet'
        put(out, 'luminet', seed, 0.4 + seed / 10, 0.5, **more)


def test_detectors_have_ap_in_percent(tmp_path):
    put_quickstart(tmp_path)
    text = write_report(tmp_path)
    assert text.startswith('# Benchmark, as configured: 400 iterations\n')
    heads = cells_of(text, 'method, pair')
    assert heads[1:5] == ['seeds', 'last box AP (%)', 'best box AP (%)', 'gain']
    assert 'published' not in text  # nothing is
    assert cells_of(text, 'luminet,')[:5] == [
        'luminet, quickstart',
        '0 1',
        '45.0 ± 7.1',
        '50.0 ± 0.0',
        '+19.0',
    ]
    assert 'of the student alone (student)' in text
    row = table(tmp_path)['luminet']
    assert row['metric'] == 'box AP (%)' and float(row['last_mean']) == 45.0
    assert (row['teacher'], row['student']) == ('', '')
    with open(tmp_path / 'curves.csv') as file:
        first = next(csv.DictReader(file))
    assert first['iteration'] == '1' and first['bbox_mAP'] == '0.27'


def test_a_teacher_beside_its_student_is_no_baseline(tmp_path):
    put_quickstart(tmp_path)
    more = dict(AP, pair='quickstart', published={}, stem='teacher', student='b')
    put(tmp_path, 'teacher', 0, 0.7, 0.7, alone=True, **more)
    write_report(tmp_path)
    gains = {name: row['gain'] for name, row in table(tmp_path).items()}
    assert gains.pop('luminet') and gains == dict(student='', teacher='')
    # Of two students that are the same, neither can be told to be it.
    put(
        tmp_path, 'longer', 0, 0.3, 0.3, alone=True, **dict(more, student='a', stem='l')
    )
    assert table_gain(tmp_path, 'luminet') == ''


def test_results_of_before_are_read(tmp_path):
    put_old(tmp_path, 'none', 40.0)
    put_old(tmp_path, 'kd', 41.0)
    put(tmp_path, 'dkd', 0, 43.0, 43.0)
    text = write_report(tmp_path)
    assert cells_of(text, 'kd,')[2:5] == ['41.00', '41.00', '+1.00']
    assert cells_of(text, 'dkd,')[2:5] == ['43.00', '43.00', '+3.00']
    assert text.startswith('# Benchmark, as configured: 240 epochs\n')
    put_old(tmp_path / 'same', 'kd', 41.0)
    put(tmp_path / 'new', 'kd', 0, 41.0, 41.0)
    write_report(tmp_path / 'same')
    write_report(tmp_path / 'new')
    for name in ('results.md', 'results.csv', 'curves.csv'):
        texts = [(tmp_path / each / name).read_text() for each in ('same', 'new')]
        assert texts[0] == texts[1]


def test_the_result_is_an_artifact(tmp_path):
    put_quickstart(tmp_path)
    text = write_report(tmp_path)
    artifact = Artifact.read(tmp_path / 'results.json')
    assert text.startswith(f'# {artifact.title}\n')
    assert [*artifact.rows] == ['student, quickstart', 'luminet, quickstart']
    assert all(f'- {note}\n' in text for note in artifact.about.splitlines())
    values = artifact.values
    assert values['metric'] == 'coco/bbox_mAP'
    assert values['rows'][1]['gain'] == pytest.approx(19.0)
    assert len(values['curves']) == 8  # every validation
    assert (tmp_path / artifact.picture).exists()
    assert all((tmp_path / name).exists() for name in artifact.files)
    assert not list(tmp_path.glob('*.part'))


@pytest.mark.parametrize('name', ['results.md', 'curves.csv', 'curves.png'])
def test_a_kill_leaves_what_was_written_before(tmp_path, monkeypatch, name):
    put(tmp_path, 'kd', 0, 50.0, 51.0)
    write_report(tmp_path)
    before = (tmp_path / name).read_bytes()
    put(tmp_path, 'dkd', 0, 50.0, 51.0)
    replace = os.replace

    def killed(part, path):
        if path.name == name:
            raise KeyboardInterrupt
        replace(part, path)

    monkeypatch.setattr('os.replace', killed)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path)
    assert (tmp_path / name).read_bytes() == before


def test_failed_and_unfinished_cells_are_shown(tmp_path):
    put(tmp_path, 'kd', 0, 50.0, 50.0)
    put(tmp_path, 'kd', 1)
    put(tmp_path, 'kd', 2, status='stopped')
    put(tmp_path, 'none', 0)
    text = write_report(tmp_path)
    assert cells_of(text, 'kd,')[1:3] == ['0, failed: 1, unfinished: 2', '50.00']
    assert cells_of(text, 'none,')[1:3] == ['failed: 0', 'failed']
    assert cells_of(text, 'kd,')[4] == '-'


def test_the_title_says_what_was_reduced(tmp_path):
    reduced = ['20 of 100 classes', '30 of 240 epochs', '50 % of the training images']
    put(tmp_path, 'kd', 0, 50.0, 50.0, reduced)
    text = write_report(tmp_path)
    title = (
        'Benchmark, REDUCED: 20 of 100 classes, 30 of 240 epochs, 50 % of the training '
        'images'
    )
    assert text.startswith(f'# {title}\n')
    assert 'published top-1 (%) (full protocol, not comparable)' in text
    assert table(tmp_path)['kd']['protocol'] == title


def test_the_title_says_what_options_changed(tmp_path):
    options = {'train_cfg.max_epochs': 2, 'train_dataloader.dataset.data_root': 'x'}
    options['train_dataloader.dataset.check_md5'] = False
    options['benchmark.metric'] = 'accuracy/top1'
    put(tmp_path, 'kd', 0, 50.0, 50.0, request=dict(REQUEST, options=options))
    assert write_report(tmp_path).startswith(
        '# Benchmark, CHANGED: train_cfg.max_epochs=2\n'
    )


def test_curves(tmp_path):
    put(tmp_path, 'kd', 0, 50.0, 51.0)
    write_report(tmp_path)
    assert (tmp_path / 'curves.csv').read_text() == (
        'cell,seed,epoch,top1,train_loss\n'
        'kd_resnet56_resnet20,0,1,51.0,2.5\n'
        'kd_resnet56_resnet20,0,2,50.0,1.5\n'
    )
    assert min(cv2.imread(str(tmp_path / 'curves.png')).shape[:2]) > 300


def test_an_empty_folder_is_no_benchmark(tmp_path):
    with pytest.raises(ConfigError, match='holds no benchmark'):
        write_report(tmp_path)
