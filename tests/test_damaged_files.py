"""Files of mmkd's own, damaged in many ways: named in a sentence, or made again."""

import argparse
import json
import math
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from mmkd.benchmark import write_report
from mmkd.benchmark.account import write_account
from mmkd.errors import ConfigError, DamagedError, DataError
from mmkd.records import write_record
from mmkd.visualization import Artifact, RunLog, claim, new_figure, read_scalars

ROOT = Path(__file__).resolve().parents[1]
DROP = object()
CELL = dict(
    stem='kd_a_b',
    method='kd',
    pair='a_b',
    seed=0,
    alone=False,
    student='s',
    metric='accuracy/top1',
    unit='epoch',
    length=2,
    config='0123456789',
    published=dict(kd=70.0),
    reduced=[],
    request=dict(epochs=None, classes=None, fraction=1.0, options=None),
    dataset='mmkd.CIFAR100, split test',
    status='finished',
    wall_seconds=60.0,
    revisions=['abc'],
    jobs=1,
)
RESULT = dict(
    CELL,
    versions=dict(mmkd='0', torch='2'),
    device='a device',
    date='2024-01-01',
    last=dict(step=2, value=60.0),
    best=dict(step=1, value=61.0),
    curve=[[1, 61.0], [2, 60.0]],
    train_loss=[[1, 2.5], [2, 1.5]],
)
LINES = [
    dict(loss=2.0, lr=0.1, epoch=1, iter=10, step=10),
    {'accuracy/top1': 61.0, 'step': 1},
    dict(loss=1.5, lr=0.1, epoch=2, iter=20, step=20),
    {'accuracy/top1': 60.0, 'step': 2},
]
#: What is done to the bytes of a file of JSON.
DAMAGES = {
    'half': lambda data: data[: len(data) // 2],
    'last byte': lambda data: data.rstrip()[:-1],
    'empty': lambda data: b'',
    'zeros': lambda data: bytes(len(data)),
    'no text': lambda data: data.replace(b'a', b'\xff'),
    'number': lambda data: b'5',
    'list': lambda data: b'[]',
    'null': lambda data: b'null',
    'deep': lambda data: b'[' * 100000,
    'two': lambda data: data + data,
    'nothing in it': lambda data: b'{}',
}


def change(path, *keys, value):
    """Set or drop a value in a file of JSON."""
    inner = content = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    if value is DROP:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def call(tool, *arguments):
    """Run a tool in this process; return the sentence it ends with, if any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        except SystemExit as stopped:
            return check(stopped.code)
    return None


def check(sentence):
    assert sentence.startswith('error: ') and '\n' not in sentence
    assert sentence.endswith('.') and 'Error' not in sentence and len(sentence) < 500
    return sentence


@pytest.fixture
def cell(tmp_path):
    """The folder of a cell that has ended."""
    folder = tmp_path / 'out/kd_a_b/seed0'
    write_account(folder / 'cell.json', CELL)
    write_account(folder / 'result.json', RESULT)
    return folder


@pytest.fixture
def logged(tmp_path):
    """The log of a run."""
    path = tmp_path / 'run/20240101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in LINES))
    return path


@pytest.fixture
def artifact(tmp_path):
    fields = dict(title='Probe', about='Higher is better.', corner='model')
    rows = {'kd': {'top-1 (%)': 31.25, 'images': 10000}}
    return Artifact('probe', rows=rows, settings=dict(a=1), **fields).write(
        tmp_path / 'probe', new_figure(2, 2)
    )


class TestBenchmark:
    def report(self, cell):
        return call('run_benchmark.py', '--report-only', '--out', cell.parents[1])

    def refused(self, cell, name, words='is damaged'):
        sentence = self.report(cell)
        assert f'{cell / name} ' in sentence and words in sentence
        assert not (cell.parents[1] / 'results.json').exists()

    @pytest.mark.parametrize('damage', DAMAGES)
    @pytest.mark.parametrize('name', ['cell.json', 'result.json'])
    def test_a_file(self, cell, name, damage):
        path = cell / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        if name == 'cell.json':  # all of it is in the result
            assert self.report(cell) is None
            (cell / 'result.json').unlink()
            (cell.parents[1] / 'results.json').unlink()
        self.refused(cell, name)

    @pytest.mark.parametrize('name', ['cell.json', 'result.json'])
    def test_of_another_version(self, cell, name):
        change(cell / name, 'format', value='mmkd.cell/9')
        (cell / 'result.json').unlink() if name == 'cell.json' else None
        self.refused(cell, name, "is of the format 'mmkd.cell/9', but this mmkd reads")

    def test_of_today(self, cell):
        for name in ('cell.json', 'result.json'):
            change(cell / name, 'format', value=DROP)
        assert self.report(cell) is None

    @pytest.mark.parametrize('name', ['cell.json', 'result.json'])
    def test_a_folder_in_its_place(self, cell, name):
        (cell / 'result.json').unlink()
        (cell / name).unlink(missing_ok=True)
        (cell / name).mkdir()
        if name == 'result.json':
            write_account(cell / 'cell.json', CELL)
        self.refused(cell, name, 'cannot be read')

    @pytest.mark.parametrize(
        'keys, value',
        [
            (['stem'], 5),
            (['method'], None),
            (['pair'], DROP),
            (['seed'], '0'),
            (['alone'], 'no'),
            (['metric'], 3),
            (['unit'], DROP),
            (['published'], ['kd']),
            (['published', 'kd'], 'high'),
            (['reduced'], 'all'),
            (['request'], None),
            (['dataset'], 3),
            (['wall_seconds'], 'long'),
            (['wall_seconds'], math.nan),
            (['revisions'], 'abc'),
            (['jobs'], 'two'),
            (['last'], 60.0),
            (['last'], DROP),
            (['last', 'value'], math.nan),
            (['last', 'value'], '60'),
            (['last', 'step'], 2.5),
            (['best'], DROP),
            (['best', 'value'], None),
            (['curve'], DROP),
            (['curve'], [[1], [2]]),
            (['curve'], [1, 2]),
            (['curve'], 'rising'),
            (['train_loss'], [[1, None]]),
            (['versions'], DROP),
            (['versions'], '1.0'),
            (['device'], 3),
            (['date'], DROP),
        ],
    )
    def test_a_value_of_a_result(self, cell, keys, value):
        change(cell / 'result.json', *keys, value=value)
        self.refused(cell, 'result.json')

    @pytest.mark.parametrize('name', ['results.json', 'results.csv', 'curves.csv'])
    def test_what_a_report_wrote_is_written_again(self, cell, name):
        out = cell.parents[1]
        write_report(out)
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole[:50])
        assert self.report(cell) is None
        assert (out / name).read_bytes() == whole

    def test_an_account_without_a_status(self, cell):
        """As a kill leaves it before the training starts."""
        (cell / 'result.json').unlink()
        for key in ('status', 'wall_seconds', 'revisions', 'jobs'):
            change(cell / 'cell.json', key, value=DROP)
        assert self.report(cell) is None


class TestArtifacts:
    def report(self, path, capsys):
        out = path.parents[1] / 'report.html'
        sentence = call('report.py', path.parent, '--out', out)
        return sentence, capsys.readouterr().err, out

    @pytest.mark.parametrize('damage', ['half', 'last byte', 'no text', 'two'])
    def test_one_beside_a_whole_one(self, artifact, capsys, damage):
        shutil.copy(artifact, artifact.with_name('other.json'))
        path = artifact.with_name('other.json')
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        if damage == 'no text':
            path.write_bytes(path.read_bytes().replace(b'mmkd.\xff', b'mmkd.a'))
            path.write_bytes(path.read_bytes().replace(b'rtif\xff', b'rtifa'))
        sentence, warned, out = self.report(artifact, capsys)
        assert sentence is None and 'Probe' in out.read_text()
        assert f'warning: {path} is damaged' in warned and warned.count('\n') == 1

    @pytest.mark.parametrize('damage', ['half', 'last byte', 'two'])
    def test_the_only_one(self, artifact, capsys, damage):
        artifact.write_bytes(DAMAGES[damage](artifact.read_bytes()))
        sentence, _, out = self.report(artifact, capsys)
        assert f'{artifact} is damaged' in sentence and not out.exists()

    @pytest.mark.parametrize(
        'keys, value',
        [
            (['name'], 5),
            (['title'], DROP),
            (['title'], ['a']),
            (['about'], None),
            (['rows'], [1]),
            (['rows', 'kd'], 'high'),
            (['rows', 'kd', 'images'], [1]),
            (['corner'], 4),
            (['values'], 'none'),
            (['files'], 'a.csv'),
            (['files'], [3]),
            (['picture'], 4),
            (['made'], None),
            (['made', 'date'], 4),
        ],
    )
    def test_a_value(self, artifact, capsys, keys, value):
        change(artifact, *keys, value=value)
        sentence, _, _ = self.report(artifact, capsys)
        assert f'{artifact} is damaged' in sentence and 'make it again' in sentence

    @pytest.mark.parametrize(
        'keys', [['made'], ['made', 'date'], ['rows'], ['files'], ['values']]
    )
    def test_what_may_be_missing(self, artifact, capsys, keys):
        change(artifact, *keys, value=DROP)
        sentence, _, out = self.report(artifact, capsys)
        assert sentence is None and 'Probe' in out.read_text()

    def test_of_another_version(self, artifact, capsys):
        change(artifact, 'format', value='mmkd.artifact/2')
        sentence, _, _ = self.report(artifact, capsys)
        assert "'mmkd.artifact/2', but this mmkd reads 'mmkd.artifact/1'" in sentence

    @pytest.mark.parametrize('files', [['gone.csv'], ['folder']])
    def test_a_file_that_is_no_more(self, artifact, capsys, files):
        (artifact.parent / 'folder').mkdir()
        change(artifact, 'files', value=files)
        sentence, warned, _ = self.report(artifact, capsys)
        assert sentence is None and f'{files[0]} is missing or damaged' in warned

    @pytest.mark.parametrize('damage', DAMAGES)
    def test_is_made_again(self, artifact, damage):
        if damage in ('empty', 'zeros', 'number', 'list', 'null', 'deep'):
            damaged = b'"mmkd.artifact/1"' + DAMAGES[damage](artifact.read_bytes())
        else:
            damaged = DAMAGES[damage](artifact.read_bytes())
        artifact.write_bytes(damaged)
        args = argparse.Namespace(out=artifact.parent, a=1)
        if b'mmkd.artifact' in damaged:
            assert claim(args, 'probe') == dict(a=1)
        else:
            with pytest.raises(ConfigError, match='is no result of this tool'):
                claim(args, 'probe')

    def test_of_another_version_is_spared(self, artifact):
        change(artifact, 'format', value='mmkd.artifact/2')
        with pytest.raises(DataError, match='mmkd.artifact/2'):
            claim(argparse.Namespace(out=artifact.parent, a=1), 'probe')


class TestLogs:
    DAMAGED = {
        'half a line at the end': lambda text: text[:-9],
        'zeros at the end': lambda text: text + '\0' * 20,
        'zeros in the midst': lambda text: text.replace('{"loss": 1.5', '\0' * 12),
        'two lines in one': lambda text: text.replace('}\n{"loss": 1', '{"loss": 1'),
        'a list': lambda text: '[1, 2]\n' + text,
        'a number': lambda text: '5\n' + text,
        'null': lambda text: 'null\n' + text,
        'text': lambda text: '"a"\n' + text,
        'no step': lambda text: '{"loss": 1.0}\n' + text,
        'a step of text': lambda text: '{"loss": 1.0, "step": "a"}\n' + text,
        'a list as step': lambda text: '{"loss": 1.0, "step": [1]}\n' + text,
        'a loss of text': lambda text: '{"loss": "a", "step": 30}\n' + text,
        'a loss of none': lambda text: '{"loss": null, "step": 30}\n' + text,
        'a score of text': lambda text: '{"accuracy/top1": "a", "step": 3}\n' + text,
        'NaN': lambda text: '{"loss": NaN, "step": 5}\n' + text,
        'infinite': lambda text: '{"loss": 1e999, "step": 5}\n' + text,
        'no UTF-8': lambda text: '{"l\udcff": 1, "step": 5}\n' + text,
        'deep': lambda text: '[' * 100000 + '\n' + text,
    }

    def damage(self, logged, name):
        text = self.DAMAGED[name](logged.read_text())
        logged.write_bytes(text.encode('utf-8', 'surrogateescape'))
        return logged.parents[2]

    @pytest.mark.parametrize('name', DAMAGED)
    def test_lines(self, logged, name):
        run = self.damage(logged, name)
        log = RunLog(run)
        steps, losses = log.own_loss()
        assert (20, 1.5) in zip(steps, losses) or (10, 2.0) in zip(steps, losses)
        points = list(zip(*read_scalars(run, 'accuracy/top1', empty=0.0)))
        assert points and set(points) <= {(1, 61.0), (2, 60.0)}
        assert points == list(zip(*log.curves['accuracy/top1']))

    @pytest.mark.parametrize('name', ['a loss of text', 'NaN', 'infinite'])
    def test_tools(self, logged, name, tmp_path):
        run = self.damage(logged, name)
        assert call('analysis/curves.py', run, '--out', tmp_path / 'curves') is None
        assert call('report.py', run, '--out', tmp_path / 'report.html') is None

    @pytest.mark.parametrize('content', [b'', b'\n', b'\xff\xfe', b'{}', b'[]', b'{"l'])
    def test_nothing_to_read(self, logged, content, tmp_path):
        logged.write_bytes(content)
        sentence = call('analysis/curves.py', tmp_path / 'run', '--out', tmp_path / 'c')
        assert 'run holds no log of a training' in sentence

    def test_a_folder_in_its_place(self, logged, tmp_path):
        logged.unlink()
        logged.mkdir()
        for tool in ('report.py', 'analysis/curves.py'):
            sentence = call(tool, tmp_path / 'run', '--out', tmp_path / 'out.html')
            assert f'{logged} cannot be read: Is a directory' in sentence

    def test_half_a_line_is_no_news_and_another_is(self, logged, tmp_path, monkeypatch):
        lines = []
        monkeypatch.setattr(
            'mmkd.visualization.run_log.print_log', lambda text, *_: lines.append(text)
        )
        whole = logged.read_text()
        logged.write_text(whole[:-9])
        read_scalars(tmp_path / 'run', 'loss')
        assert lines == []
        logged.write_text(whole.replace('"step": 10}', ''))
        for _ in range(2):
            assert read_scalars(tmp_path / 'run', 'loss') == ([20], [1.5])
        assert lines == [f'{logged}: line 1 is damaged and left out.']


class TestDetections:
    @pytest.fixture
    def files(self, tmp_path):
        truth = dict(
            images=[dict(id=1, width=64, height=64, file_name='a.png')],
            categories=[dict(id=1, name='a'), dict(id=2, name='b')],
            annotations=[
                dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 20, 20], area=400)
            ],
        )
        boxes = [dict(image_id=1, category_id=1, bbox=[1, 1, 20, 20], score=0.9)]
        (tmp_path / 'truth.json').write_text(json.dumps(truth))
        (tmp_path / 'kd.bbox.json').write_text(json.dumps(boxes))
        return tmp_path / 'truth.json', tmp_path / 'kd.bbox.json'

    def call(self, files):
        out = files[0].parent / 'out'
        return call(
            'analysis/detection_errors.py', files[0], f'kd={files[1]}', '--out', out
        )

    @pytest.mark.parametrize('which', [0, 1])
    @pytest.mark.parametrize('damage', [name for name in DAMAGES if name != 'no text'])
    def test_a_file(self, files, which, damage):
        if which == 1 and damage == 'list':
            return  # nothing was detected
        path = files[which]
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        assert str(path) in self.call(files)

    @pytest.mark.parametrize(
        'which, keys, value',
        [
            (0, ['images'], DROP),
            (0, ['images', 0], 5),
            (0, ['images', 0, 'id'], DROP),
            (0, ['images', 0, 'id'], [1]),
            (0, ['categories', 0, 'name'], DROP),
            (0, ['annotations', 0], None),
            (0, ['annotations', 0, 'image_id'], 7),
            (0, ['annotations', 0, 'category_id'], 7),
            (0, ['annotations', 0, 'bbox'], [1, 2]),
            (0, ['annotations', 0, 'bbox', 0], math.nan),
            (0, ['annotations', 0, 'area'], 'large'),
            (0, ['annotations', 0, 'iscrowd'], 1),
            (1, [0], 'box'),
            (1, [0, 'score'], DROP),
            (1, [0, 'score'], math.nan),
            (1, [0, 'score'], 'high'),
            (1, [0, 'bbox', 2], -1),
            (1, [0, 'bbox'], None),
            (1, [0, 'image_id'], 9),
            (1, [0, 'category_id'], [1]),
        ],
    )
    def test_a_value(self, files, which, keys, value):
        change(files[which], *keys, value=value)
        assert str(files[which]) in self.call(files)

    def test_a_folder(self, files):
        files[1].unlink()
        files[1].mkdir()
        assert str(files[1]) in self.call(files)


class TestQuickstart:
    @pytest.fixture
    def tool(self, tmp_path):
        args = argparse.Namespace(work_dir=tmp_path, seed=0, scale=0.5)
        tool = runpy.run_path(str(ROOT / 'tools/quickstart.py'), run_name='quickstart')
        write_record(
            tmp_path / 'settings.json', tool['FORMAT'], dict(seed=0, scale=0.5)
        )
        return lambda: tool['claim'](args)

    @pytest.mark.parametrize('damage', DAMAGES)
    def test_a_damaged_note_does_not_block(self, tool, tmp_path, damage):
        path = tmp_path / 'settings.json'
        whole = path.read_bytes()
        damaged = DAMAGES[damage](whole)
        path.write_bytes(damaged)
        tool()
        assert path.read_bytes() == whole
        (tmp_path / 'teacher').mkdir()
        (tmp_path / 'teacher/iter_2.pth').touch()
        path.write_bytes(damaged)
        with pytest.raises(DamagedError, match='settings.json is damaged .*delete it'):
            tool()
        path.unlink()
        tool()
        assert path.read_bytes() == whole

    def test_a_note_of_today(self, tool, tmp_path):
        (tmp_path / 'settings.json').write_text('{"seed": 0, "scale": 0.5}')
        tool()
        (tmp_path / 'settings.json').write_text('{"seed": 1, "scale": 0.5}')
        with pytest.raises(ConfigError, match='holds a run with'):
            tool()

    def test_of_another_version(self, tool, tmp_path):
        change(tmp_path / 'settings.json', 'format', value='mmkd.quickstart/2')
        with pytest.raises(DataError, match='mmkd.quickstart/2'):
            tool()


class TestClaim:
    """A place for results, before the work."""

    def args(self, artifact, **given):
        return argparse.Namespace(out=artifact.parent, **given)

    def test_of_the_same_settings_is_written_over(self, artifact):
        args = self.args(artifact, a=1, cache='elsewhere', workers=3)
        assert claim(args, 'probe', 'another') == dict(a=1)

    @pytest.mark.parametrize(
        'given, says',
        [
            (dict(a=2), 'a=1, wanted is 2'),
            (dict(a=1, b=[Path('x')]), r"b=None, wanted is \['x'\]"),
            ({}, 'a=1, wanted is None'),
        ],
    )
    def test_of_other_settings_is_spared(self, artifact, given, says):
        with pytest.raises(ConfigError, match=rf'other settings \({says}\); give') as c:
            claim(self.args(artifact, **given), 'probe')
        check(f'error: {c.value}')

    def test_of_before_settings_were_noted(self, artifact):
        change(artifact, 'settings', value=DROP)
        with pytest.raises(ConfigError, match='of an older mmkd'):
            claim(self.args(artifact, a=1), 'probe')
