"""Curves of made-up logs, by epoch and by iteration."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from mmkd.analysis import curves_artifact, read_runs
from mmkd.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def log(folder, lines):
    path = folder / '20260101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)))
    return str(folder)


def by_epoch(folder, best=60.0, **more):
    lines = [
        dict(loss=3.0 - n, epoch=n, iter=10 * n, step=10 * n, **more) for n in (1, 2)
    ]
    scores = [{'accuracy/top1': best, 'step': 1}, {'accuracy/top1': 50.0, 'step': 2}]
    return log(folder, lines + scores)


def by_iteration(folder):
    scores = [{'accuracy/top1': 40.0, 'coco/bbox_mAP': 0.3, 'step': 20}]
    return log(folder, [dict(loss=1.0, iter=n, step=n) for n in (10, 20)] + scores)


def test_defaults_units_and_table(tmp_path):
    runs = read_runs(
        [by_epoch(tmp_path / 'none'), f'KD={by_epoch(tmp_path / "b", 70.0, loss_kd=1)}']
    )
    artifact, figure = curves_artifact(runs)
    assert artifact.write(tmp_path / 'out', figure).exists()
    assert list(artifact.values) == ['loss', 'loss_kd', 'accuracy/top1']
    axes = [(axis.get_ylabel(), axis.get_xlabel()) for axis in figure.axes[:3]]
    assert axes == [
        ('loss, training', 'training iterations'),
        ('loss_kd, training', 'training iterations'),
        ('accuracy/top1 (%), validation', 'epoch'),
    ]
    assert artifact.rows['KD'] == {
        'runs': 1,
        'last loss': 1.0,
        'last loss_kd': 1.0,
        'last accuracy/top1': 50.0,
        'highest accuracy/top1': 70.0,
    }
    assert artifact.rows['none']['last loss_kd'] == '-'
    kd = figure.axes[2].lines[1]
    assert list(kd.get_xdata()) == [1, 2] and list(kd.get_ydata()) == [70, 50]
    # The same colour where it is alone.
    assert figure.axes[1].lines[0].get_color() == kd.get_color()


def test_seeds_share_a_name_and_a_colour(tmp_path):
    texts = [f'KD={by_epoch(tmp_path / f"seed{n}", 60.0 + n)}' for n in (0, 1)]
    artifact, figure = curves_artifact(read_runs(texts), ['accuracy/top1'])
    assert artifact.rows['KD']['highest accuracy/top1'] == 60.5
    assert artifact.rows['KD']['runs'] == 2
    first, second = figure.axes[0].lines
    assert first.get_color() == second.get_color()


def test_names_are_as_long_as_needed(tmp_path):
    texts = [by_epoch(tmp_path / name / 'seed0') for name in ('kd', 'none')]
    assert list(read_runs(texts)) == ['kd/seed0', 'none/seed0']
    assert list(read_runs([texts[0], f'b={texts[1]}'])) == ['seed0', 'b']


def test_a_loss_that_is_not_finite(tmp_path):
    """It has no place in JSON, and the table says so."""
    folder = by_epoch(tmp_path / 'a')
    path = next(Path(folder).rglob('scalars.json'))
    path.write_text(path.read_text() + '\n{"loss": NaN, "iter": 30, "step": 30}')
    artifact, figure = curves_artifact(read_runs([folder]), ['loss'])
    assert 'NaN' not in artifact.write(tmp_path / 'out', figure).read_text()
    assert artifact.values['loss']['a'] == [[[10, 2.0], [20, 1.0]]]
    assert artifact.rows['a']['last loss'] == 'not finite'


def test_scores_by_iteration(tmp_path):
    runs = read_runs([by_iteration(tmp_path / 'a')])
    _, figure = curves_artifact(runs, ['coco/bbox_mAP'])
    assert figure.axes[0].get_xlabel() == 'training iterations'
    assert figure.axes[0].get_ylabel() == 'coco/bbox_mAP (0 to 1), validation'


def test_refusals(tmp_path):
    epoch, iteration = by_epoch(tmp_path / 'a'), by_iteration(tmp_path / 'b')
    with pytest.raises(DataError, match='nothing holds no log'):
        read_runs([epoch, f'x={tmp_path / "nothing"}'])
    with pytest.raises(DataError, match='given twice'):
        read_runs([epoch, f'x={epoch}'])
    runs = read_runs([epoch, iteration])
    with pytest.raises(DataError, match="no run logged 'acc'; .*accuracy/top1"):
        curves_artifact(runs, ['acc'])
    with pytest.raises(DataError, match='some by iteration'):
        curves_artifact(runs, ['accuracy/top1'])
    only_time = read_runs([log(tmp_path / 'c', [dict(time=1.0, iter=1, step=1)])])
    with pytest.raises(DataError, match='name what to show'):
        curves_artifact(only_time)


def test_tool(tmp_path, monkeypatch, capsys):
    folder, out = by_epoch(tmp_path / 'a'), tmp_path / 'out'
    tool = str(ROOT / 'tools/analysis/curves.py')
    monkeypatch.setattr(sys, 'argv', [tool, f'KD={folder}', '--out', str(out)])
    runpy.run_path(tool, run_name='__main__')
    assert '| KD ' in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {'curves.json', 'curves.png'}
    monkeypatch.setattr(sys, 'argv', [tool, str(out)])
    with pytest.raises(SystemExit, match='error: .* holds no log'):
        runpy.run_path(tool, run_name='__main__')
