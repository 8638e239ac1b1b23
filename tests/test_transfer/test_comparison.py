"""The table, the picture and the file of a comparison, against figures by hand."""

import json
import math

import numpy as np
import pytest
from matplotlib.image import imread

from mmkd.transfer import Protocol, Run, Target, comparison, summarize
from mmkd.transfer.classifiers.train_grid import Setting
from mmkd.visualization import Artifact

TARGET = Target('toys', range(400), range(200), ('cat', 'dog', 'owl'))


def run(right, right5=200, checkpoint='a.pth', seed=0, start=0, **changes):
    """Return a run that is right on so many images of 200 from one on."""
    hits = (np.arange(200) - start) % 200 < right
    fields = dict(
        checkpoint=checkpoint,
        seed=seed,
        top1=np.zeros(200, int),
        right=hits,
        right5=np.arange(200) < right5,
        chosen=Setting('pooled', 0.1, 1e-4),
        held_out={},
        width=64,
    )
    return Run(**{**fields, **changes})


def several():
    """Three methods of 3, 2 and 1 runs."""
    return dict(
        none=[run(100, 180), run(104, 190, 'b.pth'), run(108, checkpoint='c.pth')],
        kd=[run(120, checkpoint='d.pth'), run(126, checkpoint='e.pth')],
        random=[run(60, start=90, chosen=1e-3, width=8)],
    )


def table(results, **changes):
    return comparison(results, TARGET, Protocol(**changes))[0].rows


def test_figures_of_single_runs():
    # Of 200 images both get 60..99 right; 60 are right only here, 10 only there.
    results = dict(net=[run(100, 150)], kd=[run(50, 199, start=60)])
    net, kd = summarize(results)
    assert (net['top1'], net['top5'], net['top1_of_runs']) == (50, 75, [50])
    assert (kd['top1'], kd['top5'], kd['width']) == (25, 99.5, 64)
    assert net['over_runs'] is kd['over_runs'] is kd['p_runs'] is None
    assert 'p' not in net and 'difference' not in net
    assert kd['difference'] == -25
    # Twice the chance of at most 10 heads in 70 throws.
    p = 2 * sum(math.comb(70, k) for k in range(11)) / 2**70
    assert kd['p'] == pytest.approx(p) and kd['p_holm'] == pytest.approx(p)
    # Normal intervals: of a share, and of a mean of -1, 0 and 1.
    reach = 196 * math.sqrt(0.5 * 0.5 / 200)
    assert net['over_images'] == pytest.approx((50 - reach, 50 + reach), abs=0.6)
    reach = 196 * math.sqrt((70 / 200 - 0.25**2) / 200)
    assert (kd['low'], kd['high']) == pytest.approx((-25 - reach, -25 + reach), abs=0.6)


def test_figures_of_several_runs():
    none, kd, random = summarize(several())
    assert none['top1_of_runs'] == [50, 52, 54] and none['top1'] == 52
    assert none['top5'] == 95
    assert none['checkpoints'] == ['a.pth', 'b.pth', 'c.pth']
    # Student's t of 2 degrees at 97.5 % is 4.303; the deviation is 2.
    reach = 4.303 * 2 / math.sqrt(3)
    assert none['over_runs'] == pytest.approx((52 - reach, 52 + reach), abs=1e-3)
    assert kd['difference'] == pytest.approx(61.5 - 52)
    # Welch's t of 9.5 / sqrt(4 / 3 + 4.5 / 2) = 5.02 with 2.16 degrees.
    assert kd['p_runs'] == pytest.approx(0.0320, abs=1e-4)
    assert random['p_runs'] is None and random['over_runs'] is None
    assert random['difference'] == 30 - 52
    # The smaller of two p-values counts twice.
    p = sorted([kd['p'], random['p']])
    corrected = [min(2 * p[0], 1), max(2 * p[0], p[1])]
    assert sorted([kd['p_holm'], random['p_holm']]) == pytest.approx(corrected)
    assert kd['chosen'] == ['pooled, lr 0.1, wd 0.0001'] * 2
    assert random['chosen'] == ['wd 0.001']


def test_the_table_of_one():
    assert table(dict(net=[run(100, 150)])) == {
        'net': {
            'features': 64,
            'top-1 (%)': '50.00',
            '95 % over images': '43.00 to 57.00',
            'top-5 (%)': '75.00',
            'chosen': 'pooled, lr 0.1, wd 0.0001',
        }
    }


def test_the_table_of_a_comparison():
    rows = table(dict(net=[run(100)], kd=[run(50, start=60)], same=[run(100)]))
    differences = {name: row['minus net'] for name, row in rows.items()}
    assert differences == dict(net='-', kd='-25.00', same='+0.00')
    assert {name: row['p over images'] for name, row in rows.items()} == dict(
        net='-', kd='8e-10', same='1.000'
    )
    assert [row['p (Holm)'] for row in rows.values()] == ['-', '2e-09', '1.000']
    assert rows['net']['95 % over images (paired)'] == '-'
    low, high = rows['kd']['95 % over images (paired)'].split(' to ')
    assert -33 < float(low) < -25 < float(high) < -17
    assert not any('runs' in key for key in rows['kd'])


def test_the_table_of_runs():
    rows = table(several())
    assert [row['runs'] for row in rows.values()] == [3, 2, 1]
    assert rows['none']['95 % over runs'] == '47.03 to 56.97'
    assert rows['random']['95 % over runs'] == '-'
    assert [row['p over runs'] for row in rows.values()] == ['-', '0.032', '-']
    assert rows['kd']['chosen'] == 'pooled, lr 0.1, wd 0.0001'
    results = dict(kd=[run(120), run(126, chosen=Setting('logits', 1.0, 0.0))])
    expected = 'pooled, lr 0.1, wd 0.0001; logits, lr 1, wd 0'
    assert table(results)['kd']['chosen'] == expected
    assert table(dict(near=[run(120, chosen=10)]))['near']['chosen'] == 'k 10'


def about(results, **changes):
    return comparison(results, TARGET, Protocol(**changes))[0].about


def test_what_is_said_is_what_was_done():
    alone = dict(net=[run(100)])
    text = about(alone)
    assert 'among 12 settings' in text and '20 % of the training' in text
    assert 'Differences' not in text and 'runs' not in text
    single = about(alone, learning_rates=[0.1], weight_decays=[0.0])
    assert 'settings' not in single and 'training images' not in single
    both = about(several())
    assert 'Differences are to none' in both and 'comparisons, 2.' in both
    assert 'whether methods differ with other seeds' in both
    seeds = dict(net=[run(100), run(102, seed=1)])
    assert 'say nothing of another training' in about(seeds, seeds=(0, 1))
    more = about(alone, references=['nearest_neighbours'])
    assert 'end in nearest neighbours' in more


@pytest.mark.parametrize('results', [dict(net=[run(100)]), several()])
def test_it_is_written_and_read(results, tmp_path):
    protocol = Protocol(
        layers=('pooled', 'logits'),
        learning_rates=np.array([0.1, 1], np.float32),
        weight_decays=np.logspace(-3, -1, 3),
        seeds=np.arange(1),
    )
    artifact, figure = comparison(results, TARGET, protocol)
    path = artifact.write(tmp_path, figure)

    def refuse(name):
        raise AssertionError(f'{name} is no JSON')

    json.loads(path.read_text(), parse_constant=refuse)
    again = Artifact.read(path)
    assert (
        again.title
        == 'Linear probe on toys: 3 classes, 400 training and 200 test images'
    )
    assert (again.about, again.rows) == (artifact.about, artifact.rows)
    assert [row['name'] for row in again.values['rows']] == list(results)
    given = again.values['protocol']
    assert given['learning_rates'] == pytest.approx([0.1, 1])
    assert given['layers'] == ['pooled', 'logits'] and given['seeds'] == [0]
    for row, expected in zip(again.values['rows'], summarize(results)):
        assert row == json.loads(json.dumps(expected))
    picture = imread(path.with_suffix('.png'))
    assert picture.std() > 0.05


def drawn(results):
    """Return the axes of the picture, and their texts."""
    figure = comparison(results, TARGET, Protocol())[1]
    (axis,) = figure.axes
    (legend,) = figure.legends
    return figure, axis, [text.get_text() for text in legend.get_texts()]


def test_the_picture_shows_the_figures():
    results = several()
    _, axis, legend = drawn(results)
    assert legend == ['95 % over images', 'mean of the runs', 'a run']
    assert [label.get_text() for label in axis.get_yticklabels()] == list(results)
    assert axis.get_xlabel() == 'top-1 accuracy on the test images (%)'
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first on top
    marks = {mark.get_label(): mark for mark in axis.collections}
    top1 = marks['mean of the runs'].get_offsets()
    np.testing.assert_allclose(top1, [(52, 0), (61.5, 1), (30, 2)])
    runs = marks['a run'].get_offsets()
    assert runs[:, 0].tolist() == [50, 52, 54, 60, 63, 30]
    assert runs[:, 1].round().tolist() == [0, 0, 0, 1, 1, 2]
    ends = [row['over_images'] for row in summarize(results)]
    bars = [line[:, 0].tolist() for line in marks['95 % over images'].get_segments()]
    np.testing.assert_allclose(bars, ends)
    assert drawn(dict(net=[run(100)]))[2] == ['95 % over images', 'accuracy']


@pytest.mark.parametrize('numbers', [(100, 99), (0, 1), (98, 12)])
def test_the_axis_ends_at_what_there_is_and_the_interval_is_told(numbers):
    results = {f'net{number}': [run(number)] for number in numbers}
    _, axis, _ = drawn(results)
    left, right = axis.get_xlim()
    assert 0 <= left < right <= 100
    (beside,) = axis.child_axes
    said = [label.get_text() for label in beside.get_yticklabels()]
    for text, row in zip(said, summarize(results)):
        low, high = row['over_images']
        assert text == f'{row["top1"]:.1f} ({low:.1f} to {high:.1f})'


@pytest.mark.parametrize('number', [1, 4, 12, 30])
def test_long_names_leave_room_and_do_not_touch(number):
    results = {
        f'{i}/' + 'a/long/name/of/a/run/' * 4: [run(100 + i)] for i in range(number)
    }
    figure, axis, _ = drawn(results)
    figure.draw_without_rendering()
    whole, inner = figure.bbox, axis.get_window_extent()
    assert inner.width > 0.5 * whole.width
    labels = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert all(label.x0 >= 0 for label in labels)
    assert not any(a.overlaps(b) for a, b in zip(labels, labels[1:]))
