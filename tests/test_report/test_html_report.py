"""The report of made-up results: its structure, its figures and how it is shown."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mmkd.benchmark import write_report
from mmkd.errors import ConfigError, DataError, OutputError
from mmkd.report import write_html_report
from mmkd.visualization import Artifact, new_figure

ROOT = Path(__file__).resolve().parents[2]
VOID = {'meta', 'link', 'img', 'input', 'wbr'}
EVIL = '<script>alert("1")</script>&amp;'
NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
#: Left alone with a page: no sandbox for root, no talk with the net.
FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run '
    '--disable-background-networking --disable-component-update --disable-sync'
).split()


class Page(HTMLParser):
    """A page taken apart; every tag must be closed where it was opened."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.texts = [], [], {}
        self.tables = []
        self.feed(path.read_text(encoding='utf-8'))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('th', 'td'):
            self.tables[-1][-1].append('')

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else '', []).append(data)
        if self.open and self.open[-1] in ('th', 'td'):
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self, tag):
        return ' '.join(self.texts.get(tag, []))

    def rows(self, corner):
        """Return a table's cells by row, the first one named by its corner."""
        table = next(table for table in self.tables if table[0][0] == corner)
        heads = table[0][1:]
        return {row[0]: dict(zip(heads, row[1:])) for row in table[1:]}


def put_artifact(folder, name='probe', picture=True, **more):
    figure = new_figure(9, 2)
    axis = figure.subplots()
    axis.plot([0, 1])
    fields = dict(title='Probe on digits', about='Higher is better.', corner='model')
    fields['rows'] = {'kd': {'top-1 (%)': 31.25, 'images': 10000}}
    artifact = Artifact(name, **dict(fields, **more))
    return artifact.write(folder, figure if picture else None)


def put_log(folder, *entries, tail=''):
    path = folder / '20240101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    lines = ''.join(json.dumps(entry) + '\n' for entry in entries)
    path.write_text(lines + tail)


def put_run(folder, *scores, key='accuracy/top1', **more):
    """A run by epochs of ten iterations, validated after each."""
    entries = []
    for epoch, score in enumerate(scores, start=1):
        step = 10 * epoch
        loss = dict(loss=3.0 - epoch / 10, lr=0.1, time=0.5, **more)
        entries.append(dict(loss, epoch=epoch, iter=step, step=step))
        entries.append({key: score, 'time': 0.5, 'data_time': 0.1, 'step': epoch})
    put_log(folder, *entries)


def put_cell(out, method, last, reduced=()):
    cell = dict(
        stem=f'{method}_resnet56_resnet20',
        method=method,
        pair='resnet56_resnet20',
        seed=0,
        config='0123abcdef',
        published=dict(none=69.06, kd=70.66),
        reduced=list(reduced),
        request=dict(epochs=None, classes=None, fraction=1.0, options=None),
        dataset='a data set',
        alone=method == 'none',
        student='a',
        metric='accuracy/top1',
        unit='epoch',
        length=2,
        status='done',
        wall_seconds=61.0,
        versions=dict(mmkd='0', torch='2'),
        device='a device',
        date='2024-01-01',
        last=dict(step=2, value=last),
        best=dict(step=1, value=last + 1),
        curve=[[1, last + 1], [2, last]],
    )
    folder = out / cell['stem'] / 'seed0'
    folder.mkdir(parents=True)
    for name in ('cell.json', 'result.json'):
        (folder / name).write_text(json.dumps(cell))


@pytest.fixture
def work(tmp_path):
    """A bit of everything."""
    folder = tmp_path / 'work'
    for method, last in (('none', 48.0), ('kd', 50.5)):
        put_cell(folder / 'bench', method, last)
        put_run(folder / f'bench/{method}_resnet56_resnet20/seed0', last + 1, last)
    write_report(folder / 'bench')
    put_artifact(folder / 'probe')
    wide = {'none': {f'a column {n}': 'a text to read' for n in range(30)}}
    put_artifact(folder / 'probe', 'wide', title='Wide', rows=wide, corner='wide')
    put_artifact(folder / 'probe', 'text', picture=False, rows={}, title='Only text')
    return folder


def report(tmp_path, *folders):
    out = tmp_path / 'out/report.html'
    amiss = write_html_report(folders, out)
    return Page(out), amiss


def test_structure(work, tmp_path):
    page, amiss = report(tmp_path, work)
    assert amiss == []
    assert page.all('html') == [dict(lang='en')]
    assert not page.all('script')
    refs = [v for _, attrs in page.tags for k, v in attrs.items() if k in REFERENCES]
    assert refs and all(ref.startswith(('#', 'data:')) for ref in refs)
    assert not re.search(r'url\(|@import', page.text('style'))
    ids = [attrs['id'] for _, attrs in page.tags if 'id' in attrs]
    assert len(ids) == len(set(ids))
    anchors = [ref[1:] for ref in refs if ref.startswith('#')]
    assert sorted(anchors) == sorted(ids)  # the contents lead everywhere
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch('h[1-6]', tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    assert all(image['alt'] for image in page.all('img'))
    assert {'Probe on digits', 'Wide'} < {image['alt'] for image in page.all('img')}
    assert all(head['scope'] in ('row', 'col') for head in page.all('th'))
    assert len(page.all('caption')) == len(page.tables) == 4
    assert page.text('h2').split(' ') == ('Results Training runs'.split())


REFERENCES = ('src', 'href', 'srcset', 'action', 'data', 'poster', 'background')


def test_an_artifact_is_shown_and_can_be_saved(tmp_path):
    path = put_artifact(tmp_path / 'a', values=dict(p=[0.1, 0.2]))
    page, _ = report(tmp_path, tmp_path / 'a')
    assert 'Probe on digits' in page.text('h3')
    assert 'Higher is better.' in page.text('p')
    assert page.rows('model') == {'kd': {'top-1 (%)': '31.2', 'images': '10,000'}}
    (image,) = page.all('img')
    assert (
        b64decode(image['src'].split(',')[1]) == path.with_suffix('.png').read_bytes()
    )
    (saved,) = [attrs for attrs in page.all('a') if 'download' in attrs]
    assert saved['download'] == 'probe.json'
    assert b64decode(saved['href'].split(',')[1]) == path.read_bytes()
    made = json.loads(path.read_text())['made']
    assert made['date'] in page.text('p') and made['torch'] in page.text('p')


def test_small_and_missing_figures_are_told_from_zero(tmp_path):
    rows = {'a': dict(p=0.0004, q=0.0, r=1.5), 'b': dict(p=None, r=-2.0)}
    put_artifact(tmp_path / 'a', rows=rows)
    page, _ = report(tmp_path, tmp_path / 'a')
    assert page.rows('model') == {
        'a': dict(p='4.0e-04', q='0.000', r='1.50'),
        'b': dict(p='–', q='–', r='-2.00'),
    }


def test_names_from_files_are_only_text(tmp_path):
    folder = tmp_path / 'a'
    rows = {EVIL: {f'head {EVIL}': f'cell {EVIL}'}}
    put_artifact(folder, title=f'title {EVIL}', about=EVIL, rows=rows, corner='evil')
    put_run(folder / 'run<script>', 1.0, 2.0, key='<script>')
    page, _ = report(tmp_path, folder)
    assert not page.all('script')
    assert f'title {EVIL}' in page.text('h3')
    assert page.rows('evil') == {EVIL: {f'head {EVIL}': f'cell {EVIL}'}}
    assert f'title {EVIL}' in {image['alt'] for image in page.all('img')}


@pytest.mark.parametrize('damage', [Path.unlink, lambda p: p.write_bytes(b'x')])
def test_a_lost_picture_is_said_in_its_place(tmp_path, damage):
    path = put_artifact(tmp_path / 'a')
    damage(path.with_suffix('.png'))
    page, amiss = report(tmp_path, tmp_path / 'a')
    assert amiss == ['a: The picture probe.png is missing or damaged.']
    assert 'The picture probe.png is missing or damaged.' in page.text('p')
    assert not page.all('img') and 'kd' in page.rows('model')


def test_a_half_written_picture_is_no_picture(tmp_path):
    picture = put_artifact(tmp_path / 'a').with_suffix('.png')
    picture.write_bytes(picture.read_bytes()[:-500])
    assert len(report(tmp_path, tmp_path / 'a')[1]) == 1


def test_only_a_picture_beside_its_artifact_is_taken(tmp_path):
    path = put_artifact(tmp_path / 'a')
    path.with_suffix('.png').rename(tmp_path / 'secret.png')
    path.write_text(path.read_text().replace('"probe.png"', '"../secret.png"'))
    page, amiss = report(tmp_path, tmp_path / 'a')
    assert not page.all('img') and 'secret.png is missing' in amiss[0]


def test_other_and_broken_files_do_not_matter(tmp_path):
    path = put_artifact(tmp_path / 'a')
    (tmp_path / 'a/half.json').write_text(path.read_text().replace('mmkd', 'm')[:-20])
    (tmp_path / 'a/bytes.json').write_bytes(b'\xff\xfe{')
    (tmp_path / 'a/results.csv').write_text('method,pair\nkd,a_b\n')
    page, amiss = report(tmp_path, tmp_path / 'a')
    assert amiss == [] and page.text('h3') == 'Probe on digits'


def test_benchmark(work, tmp_path):
    page, _ = report(tmp_path, work)
    rows = page.rows('method, pair')
    assert [*rows] == ['none, resnet56 -> resnet20', 'kd, resnet56 -> resnet20']
    assert rows['kd, resnet56 -> resnet20'] == {
        'seeds': '0',
        'last top-1 (%)': '50.50',
        'best top-1 (%)': '51.50',
        'gain': '+2.50',
        'published top-1 (%)': '70.66',
        'published gain': '+1.60',
        'wall time a run': '0:01:01',
        'config': '0123abcdef',
        'revision': '–',
    }
    assert 'Benchmark, as configured: 2 epochs' in page.text('h3')
    assert 'Metric: top-1 (%) on a data set' in page.text('p')
    assert 'From work/bench, made on' in page.text('p')
    assert 'not comparable' not in page.text('th')
    saved = {each.get('download'): each['href'] for each in page.all('a')}
    for name in ('results.json', 'results.csv', 'curves.csv'):
        data = (work / 'bench' / name).read_bytes()
        assert b64decode(saved[name].split(',')[1]) == data


def test_a_reduced_benchmark_without_its_logs(tmp_path):
    put_cell(tmp_path / 'b', 'kd', 50.0, ['2 of 9 epochs'])
    write_report(tmp_path / 'b')
    page, _ = report(tmp_path, tmp_path / 'b')
    (row,) = page.rows('method, pair').values()
    head = 'published top-1 (%) (full protocol, not comparable)'
    assert row[head] == '70.66'
    assert 'REDUCED: 2 of 9 epochs' in page.text('h3')
    (image,) = page.all('img')
    curves = (tmp_path / 'b/curves.png').read_bytes()
    assert b64decode(image['src'].split(',')[1]) == curves


def test_a_benchmark_without_a_result_has_no_curves(tmp_path):
    put_cell(tmp_path / 'b', 'kd', 50.0)
    (tmp_path / 'b/kd_resnet56_resnet20/seed0/result.json').unlink()
    path = tmp_path / 'b/kd_resnet56_resnet20/seed0/cell.json'
    cell = json.loads(path.read_text())
    for key in ('last', 'best', 'curve'):
        del cell[key]
    path.write_text(json.dumps(cell))
    write_report(tmp_path / 'b')
    page, amiss = report(tmp_path, tmp_path / 'b')
    assert amiss == [] and not page.all('img')
    (row,) = page.rows('method, pair').values()
    assert (row['seeds'], row['last top-1 (%)']) == ('unfinished: 0', '–')


def test_two_benchmarks_are_told_apart(tmp_path):
    for name in ('a', 'b'):
        put_cell(tmp_path / 'w' / name, 'kd', 50.0)
        write_report(tmp_path / 'w' / name)
    page, _ = report(tmp_path, tmp_path / 'w')
    title = 'Benchmark, as configured: 2 epochs'
    assert page.text('h3') == f'{title} (w/a) {title} (w/b)'


def test_a_benchmark_of_before_is_named(tmp_path):
    """Its folder may hold the trainings, or only what was copied from there."""
    put_cell(tmp_path / 'w/old', 'kd', 50.0)
    write_report(tmp_path / 'w/old')
    (tmp_path / 'w/old/results.json').unlink()
    with pytest.raises(DataError, match='^results.csv .* in w/old .* --report-only'):
        report(tmp_path, tmp_path / 'w')
    put_artifact(tmp_path / 'w/probe')
    _, amiss = report(tmp_path, tmp_path / 'w')
    assert len(amiss) == 1 and 'results.csv and curves.csv in w/old are' in amiss[0]
    write_report(tmp_path / 'w/old')  # as --report-only does
    page, amiss = report(tmp_path, tmp_path / 'w')
    assert amiss == [] and page.rows('method, pair')


def test_a_lost_file_is_said_in_its_place(tmp_path):
    put_artifact(tmp_path / 'a', files=['../secret.csv', 'there.csv'])
    (tmp_path / 'secret.csv').write_text('secret')
    (tmp_path / 'a/there.csv').write_text('x')
    page, amiss = report(tmp_path, tmp_path / 'a')
    assert amiss == ['a: The file secret.csv is missing or damaged.']
    saved = [each['download'] for each in page.all('a') if 'download' in each]
    assert saved == ['probe.json', 'there.csv']


def test_runs(tmp_path):
    put_run(tmp_path / 'r/none/seed0', 40.0, 42.5, 41.0)
    put_run(tmp_path / 'r/kd/seed0', 50.0, 55.0, 55.0, loss_kd=0.5, weight_kd=1.0)
    page, _ = report(tmp_path, tmp_path / 'r')
    heads = ('iterations', 'training loss, last')
    top1 = ('accuracy/top1 (%), last', 'accuracy/top1 (%), best')
    assert page.rows('run') == {
        'kd/seed0': dict(zip(heads + top1, ['30', '2.200', '55.00', '55.00 (2)'])),
        'none/seed0': dict(zip(heads + top1, ['30', '2.700', '41.00', '42.50 (2)'])),
    }
    assert page.text('h3') == 'accuracy/top1, 2 runs in r'
    assert [image['alt'] for image in page.all('img')] == [
        'training loss of 2 runs in r over training iterations',
        'validation accuracy/top1 (%) of 2 runs in r over epoch',
    ]
    assert 'Seeds of a method share a colour.' in page.text('p')


def test_runs_by_iteration_of_other_figures_and_unfinished(tmp_path):
    folder = tmp_path / 'r'
    train = [dict(loss=1.0, iter=step, step=step) for step in (100, 200)]
    nan = float('nan')
    val = [{'val_loss': v, 'step': s} for v, s in ((nan, 50), (0.2, 100), (0.3, 200))]
    put_log(folder / 'ap', *train, *val)
    put_log(folder / 'started', train[0], tail='{"loss": 1.0, "it')
    put_log(folder / 'nothing')
    page, amiss = report(tmp_path, folder)
    assert amiss == []
    text = page.text('h3')
    assert 'val_loss, run r/ap' in text and 'No validation, 2 runs in r' in text
    assert page.rows('run') == {
        'r/ap': {
            'iterations': '200',
            'training loss, last': '1.000',
            'val_loss, last': '0.3000',
            'val_loss, best': '0.2000 (100)',
        }
    }
    assert page.tables[1][1:] == [['nothing', '–', '–'], ['started', '100', '1.000']]
    assert 'val_loss of run r/ap over training iterations' in page.all('img')[1]['alt']


def test_folders_within_each_other_and_of_one_name(tmp_path):
    for place in ('x', 'y'):
        put_run(tmp_path / place / 'kd', 40.0, 42.5)
    put_artifact(tmp_path / 'x/kd')
    page, _ = report(
        tmp_path, tmp_path / 'x', tmp_path / 'x/kd', tmp_path / 'y/kd', tmp_path / 'x'
    )
    assert [*page.rows('run')] == ['x/kd', 'y/kd']
    assert page.text('h3').count('Probe on digits') == 1
    footer = page.text('p')
    assert 'From the folders' in footer and str(tmp_path) not in footer


def test_what_is_there_already(tmp_path):
    """The report of the same folders is written anew, and nothing else."""
    put_artifact(tmp_path / 'a')
    put_artifact(tmp_path / 'b <i>')
    page, _ = report(tmp_path, tmp_path / 'b <i>')
    page, _ = report(tmp_path, tmp_path / 'b <i>')
    out = tmp_path / 'out/report.html'
    for text in (out.read_text(), 'my thesis'):
        out.write_text(text)
        with pytest.raises(ConfigError, match='is no report of a; give another --out'):
            report(tmp_path, tmp_path / 'a')
        assert out.read_text() == text


def test_what_cannot_be_written_is_known_before(tmp_path, monkeypatch):
    put_artifact(tmp_path / 'a')
    monkeypatch.setattr('mmkd.report.html_report.read_artifacts', None)
    for out in (tmp_path, tmp_path / 'a/probe.json/report.html'):
        with pytest.raises(OutputError, match=f'{out} cannot be written: '):
            write_html_report([tmp_path / 'a'], out)


def test_what_cannot_be_reported(tmp_path):
    empty = tmp_path / 'empty'
    with pytest.raises(DataError, match='empty is no folder'):
        report(tmp_path, empty)
    empty.mkdir()
    with pytest.raises(DataError, match='^empty holds nothing to report; looked for'):
        report(tmp_path, empty)
    assert not (tmp_path / 'out').exists()
    put_artifact(tmp_path / 'a')
    _, amiss = report(tmp_path, empty, tmp_path / 'a')
    (sentence,) = amiss
    assert sentence.startswith('empty holds nothing to report; looked for')


def test_the_tool(work, tmp_path):
    (work / 'probe/wide.png').unlink()
    done = subprocess.run(
        [sys.executable, 'tools/report.py', work, '--title', 'For a colleague']
        + ['--out', tmp_path / 'r.html'],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore'),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r'\S+/r\.html: \d\.\d\d MB\n', done.stdout)
    assert 'warning: probe: The picture wide.png is missing' in done.stderr
    assert Page(tmp_path / 'r.html').text('h1') == 'For a colleague'


MEASURE = """
onload = () => {
  const page = document.querySelector('iframe').contentDocument;
  const width = e => [e.scrollWidth, e.clientWidth];
  document.body.innerText = JSON.stringify({
    page: width(page.documentElement),
    tables: [...page.querySelectorAll('.scroll')].map(width),
    shown: [...page.images].map(image => image.clientWidth),
    pixels: [...page.images].map(image => image.naturalWidth),
  });
}
"""


@pytest.fixture
def browse(tmp_path):
    """Show a page in a frame, which may be narrower than a browser's window."""

    def measure(text, width):
        frame = f'<iframe width={width} height=800 srcdoc="{escape(text)}"></iframe>'
        outer = f'<!DOCTYPE html><body>{frame}<script>{MEASURE}</script></body>'
        (tmp_path / 'outer.html').write_text(outer, encoding='utf-8')
        profile = tmp_path / 'profile'
        call = [BROWSER, *FLAGS, f'--user-data-dir={profile}', '--dump-dom']
        call += ['--window-size=1400,1000', (tmp_path / 'outer.html').as_uri()]
        done = subprocess.run(call, capture_output=True, text=True, timeout=120)
        return json.loads(re.search(r'<body>(.+?)</body>', done.stdout, re.S)[1])

    return measure


@pytest.mark.skipif(not BROWSER, reason=f'none of {", ".join(NAMES)} is installed')
@pytest.mark.parametrize('width', [375, 1280])
def test_in_a_browser(work, tmp_path, browse, width):
    out = tmp_path / 'report.html'
    write_html_report([work], out)
    seen = browse(out.read_text(encoding='utf-8'), width)
    scrolls, shows = seen['page']
    assert scrolls == shows and width - 20 <= shows <= width
    assert any(inner > outer for inner, outer in seen['tables'])
    assert all(outer < width for _, outer in seen['tables'])
    assert len(seen['shown']) == 4 and all(0 < each < width for each in seen['shown'])
    assert max(seen['pixels']) == 1080  # of the artifact's nine inches
    assert min(seen['pixels']) > 375
