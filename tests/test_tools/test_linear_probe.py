"""The linear probe as a user runs it, on digits."""

import json
import multiprocessing
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmkd.testing import toy_classifier
from mmkd.transfer import Network, load_target
from mmkd.transfer.classifiers import linear_probe as module

ROOT = Path(__file__).resolve().parents[2]
TOOL = 'tools/linear_probe.py'
QUICK = ['--epochs', '10', '--learning-rates', '0.1', '--device', 'cpu']


def toy(width=8):
    test = dict(dataset=dict(type='mmkd.DigitImages', split='test'))
    model = toy_classifier(width=width)
    return Config(dict(default_scope='mmpretrain', model=model, test_dataloader=test))


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """A folder with a config and checkpoints of its training on digits."""
    folder = tmp_path_factory.mktemp('home')
    toy().dump(folder / 'toy.py')
    target = load_target('digits').train
    labels = torch.from_numpy(target.get_gt_labels())
    images = [target.get_data_info(row)['img'] for row in range(len(target))]
    images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    model = Network(toy(), device='cpu').model.requires_grad_(True).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(5):
        optimizer.param_groups[0]['lr'] = 0.1 * (1 - epoch / 5)
        for batch in torch.randperm(len(images), generator=generator).split(64):
            inputs = model.data_preprocessor(dict(inputs=images[batch]))['inputs']
            loss = F.cross_entropy(model(inputs), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        name = {0: 'early', 4: 'late'}.get(epoch)
        if name:
            torch.save(dict(state_dict=model.state_dict()), folder / f'{name}.pth')
    return folder


def arguments(home, out, cache, *entries):
    compare = [home / 'toy.py', '--compare', *entries]
    where = ['--dataset', 'digits', '--cache', cache, '--out', out]
    return [str(part) for part in (*compare, *where, *QUICK)]


def four(home):
    return [f'early={home}/early.pth', f'late={home}/late.pth', 'random', 'pixels']


@pytest.fixture(scope='module')
def first(home):
    """Run the tool as a user does; return what it printed and its folder."""
    done = subprocess.run(
        [
            sys.executable,
            TOOL,
            *arguments(home, home / 'out', home / 'cache', *four(home)),
        ],
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore'),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, home / 'out'


def call(*arguments):
    """Run it in this process, which has imported everything."""
    sys.argv = [TOOL, *map(str, arguments)]
    runpy.run_path(str(ROOT / TOOL), run_name='__main__')


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', sys.argv)


def figures(out):
    return json.loads((out / 'linear_probe.json').read_text())


def predictions(out):
    with np.load(out / 'predictions.npz') as file:
        return {name: file[name] for name in file.files}


def written(cell):
    return f'{cell:,}' if isinstance(cell, int) else cell


def test_it_prints_what_it_writes(first):
    printed, out = first
    report = figures(out)
    assert report['title'] in printed and report['about'] in printed
    assert '10 classes, 1438 training and 359 test images' in report['title']
    for name, row in report['rows'].items():
        (line,) = re.findall(rf'^\| {name} .*\|$', printed, re.MULTILINE)
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        assert cells == [name, *(written(cell) for cell in row.values())]
    assert (out / 'linear_probe.png').stat().st_size > 10000
    for name in ('linear_probe.json', 'linear_probe.png', 'predictions.npz'):
        assert str(out / name) in printed
    for name, row in report['rows'].items():
        assert f'{name} (' in printed and f'{row["top-1 (%)"]} % top-1' in printed


def test_predictions_are_those_of_the_figures(first):
    _, out = first
    saved = predictions(out)
    assert saved['names'].tolist() == ['early', 'late', 'random', 'pixels']
    assert (
        saved['labels'].tolist() == load_target('digits').val.get_gt_labels().tolist()
    )
    right = 100 * (saved['top1'] == saved['labels']).mean(1)
    rows = figures(out)['values']['rows']
    np.testing.assert_allclose(right, [row['top1'] for row in rows])


def test_the_order_is_as_it_should_be(first):
    rows = {row['name']: row for row in figures(first[1])['values']['rows']}
    top1 = {name: row['top1'] for name, row in rows.items()}
    assert top1['late'] > top1['pixels'] > top1['random'] + 30
    assert top1['late'] > top1['early'] > top1['random'] + 30
    assert top1['random'] > 10  # of ten classes
    assert rows['random']['p'] < 1e-6


@pytest.fixture
def shown(monkeypatch):
    """How many images networks are shown, call by call."""
    calls, features = [], Network.features

    def spied(self, images, layers):
        calls.append(len(images))
        return features(self, images, layers)

    monkeypatch.setattr(Network, 'features', spied)
    return calls


def test_again_from_the_cache(first, home, tmp_path, shown):
    call(*arguments(home, tmp_path, home / 'cache', *four(home)))
    assert shown == [1, 1, 1]  # to see that they fit
    assert figures(tmp_path)['values'] == figures(first[1])['values']
    assert figures(tmp_path)['rows'] == figures(first[1])['rows']
    for name, array in predictions(first[1]).items():
        np.testing.assert_array_equal(predictions(tmp_path)[name], array)


def test_another_result_is_not_written_over(first, home, shown):
    _, out = first
    before = {path: path.read_bytes() for path in out.iterdir()}
    given = arguments(home, out, home / 'cache', *four(home)[:2])
    says = r'^error: .*/linear_probe.json holds a result of other settings \(compare='
    with pytest.raises(SystemExit, match=says):
        call(*given)
    assert shown == []  # it is known before the work
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_an_output_is_tried_before_the_work(home, tmp_path, shown):
    (tmp_path / 'file').touch()
    given = arguments(home, tmp_path / 'file', home / 'cache', *four(home))
    with pytest.raises(SystemExit, match='^error: .*/file is not a folder; choose'):
        call(*given)
    assert shown == []


def test_killed_while_probing(first, home, tmp_path, shown):
    def killed():
        train_grid, calls = module.train_grid, []

        def counted(*args, **kwargs):
            calls.append(args)
            if len(calls) == 4:  # the second network's final classifier
                os.kill(os.getpid(), signal.SIGKILL)
            return train_grid(*args, **kwargs)

        module.train_grid = counted
        call(*given)

    entries = [f'early={home}/early.pth', 'random']
    given = arguments(home, tmp_path, tmp_path / 'cache', *entries)
    child = multiprocessing.get_context('fork').Process(target=killed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / 'linear_probe.json').exists()
    shown.clear()
    call(*given)
    assert shown == [1, 1]
    expected = predictions(first[1])['top1'][[0, 2]]
    np.testing.assert_array_equal(predictions(tmp_path)['top1'], expected)


def test_one_network_with_all_there_is(home, tmp_path, capsys):
    names = ['logistic_regression', 'nearest_neighbours']
    call(
        home / 'toy.py', home / 'late.pth', '--dataset', 'digits',
        '--limit', 200, '--input-size', 24, '--layers', 'backbone.layer3',
        '--learning-rates', 0.1, '--weight-decays', 0.01, 0.1, '--held-out', 0.3,
        '--seeds', 0, 1, '--references', *names, '--batch-size', 100,
        '--workers', 0, '--cache', tmp_path / 'cache', '--out', tmp_path / 'out',
    )  # fmt: skip
    report = figures(tmp_path / 'out')
    assert list(report['rows']) == [
        'late', 'late, logistic regression', 'late, nearest neighbours'
    ]  # fmt: skip
    assert '200 training and 359 test images' in report['title']
    assert all(row['seeds'] == [0, 1] for row in report['values']['rows'])
    assert [row['width'] for row in report['values']['rows']] == [32, 32, 32]
    assert report['values']['protocol'] == dict(
        layers=['backbone.layer3'],
        input_size=24,
        learning_rates=[0.1],
        weight_decays=[0.01, 0.1],
        held_out=0.3,
        epochs=None,
        seeds=[0, 1],
        references=names,
    )
    assert 'among 2 settings' in capsys.readouterr().out


@pytest.mark.parametrize(
    'given, words',
    [
        ('toy.py late.pth --dataset digit', 'unknown target data set .*mean digits'),
        ('toy.py late.pth --dataset tiny_imagenet', 'needs data_root'),
        ('toy.py late.pth --dataset stl10 --data-root none', 'none'),
        ('toy.py --dataset digits', 'give a CHECKPOINT, or several with --compare'),
        ('toy.py gone.pth --dataset digits', 'gone.pth'),
        ('gone.py late.pth --dataset digits', 'gone.py'),
        ('wide.py late.pth --dataset digits', 'does not fit late .*size mismatch'),
        ('toy.py late.pth --dataset digits --layers backbone.layr4',
         'backbone.layr4.*backbone.layer4'),
        ('toy.py --compare late.pth late.pth --dataset digits', 'late.* given twice'),
        ('toy.py late.pth --compare late.pth --dataset digits', 'late.* given twice'),
        ('toy.py --compare a=late.pth b= --dataset digits', 'names no checkpoint'),
        ('toy.py pixels --layers logits --dataset digits', 'pixels have no layers'),
        ('toy.py random --dataset digits --limit 5', 'no class has two'),
        ('toy.py random --dataset digits --learning-rates 0', 'must be above 0'),
        ('toy.py random --dataset digits --references svm', 'unknown reference'),
        ('toy.py random --dataset digits --seeds 1 1', 'named once'),
    ],
)  # fmt: skip
def test_wrong_input_is_said_in_a_sentence(home, tmp_path, given, words):
    toy(width=16).dump(home / 'wide.py')
    parts = [str(home / p) if p.endswith(('.py', '.pth')) else p for p in given.split()]
    with pytest.raises(SystemExit) as stopped:
        call(*parts, '--cache', tmp_path / 'cache', '--out', tmp_path / 'out')
    message = stopped.value.code
    assert re.match('error: .*' + words, message) and '\n' not in message
    assert not (tmp_path / 'out').exists()
