"""The report of made-up results."""

import csv
import json

import cv2
import pytest

from mmkd.benchmark import write_report
from mmkd.errors import ConfigError

REQUEST = dict(epochs=None, classes=None, fraction=1.0, options=None)


def put(out, method, seed, last=None, best=None, reduced=(), **more):
    pair = 'resnet56_resnet20'
    cell = dict(
        stem=f'{method}_{pair}',
        method=method,
        pair=pair,
        seed=seed,
        config='0123456789',
        published=dict(none=69.06, kd=70.66),
        reduced=list(reduced),
        request=dict(REQUEST),
        dataset='mmkd.CIFAR100, split test',
        max_epochs=240,
        status='failed',
        wall_seconds=60.0 + seed,
        revisions=['abc'],
        versions=dict(mmkd='0', torch='2'),
        device='a device',
        date='2024-01-01',
    )
    cell.update(more)
    folder = out / cell['stem'] / f'seed{seed}'
    folder.mkdir(parents=True)
    (folder / 'cell.json').write_text(json.dumps(cell))
    if last is not None:
        cell.update(
            last=dict(epoch=2, top1=last),
            best=dict(epoch=1, top1=best),
            curve=[[1, best], [2, last]],
            train_loss=[[1, 2.5], [2, 1.5]],
        )
        (folder / 'result.json').write_text(json.dumps(cell))


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
    put(tmp_path, 'none', 0, 40.0, 40.0, pair='a_b', stem='none_a_b')
    assert table_gain(tmp_path) == ''


def table_gain(out):
    write_report(out)
    return table(out)['kd']['gain']


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
