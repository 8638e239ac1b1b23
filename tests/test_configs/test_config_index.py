"""configs/README.md shows the configs as they are."""

import functools
import re
import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import mmengine
import pytest
from mmengine.config import Config

from mmkd.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/config_index.py'
CONFIGS = ROOT / 'configs'
INDEX = (CONFIGS / 'README.md').read_text(encoding='utf-8')
FILES = {
    path.relative_to(CONFIGS).as_posix()
    for folder in ('cifar100', 'imagenet', 'coco', 'coco/dense', 'coco/real_time')
    for path in (CONFIGS / folder).glob('*.py')
}
#: What a table shows, the file that it links to, and its mark.
LINKS = re.findall(r'\[([^\[\]]+)\]\(([\w/-]+\.py)\)(†?)', INDEX)
CELLS = [link for link in LINKS if '/teacher_' not in link[1]]
TEACHERS = [link for link in LINKS if '/teacher_' in link[1]]
#: The names of their methods; two may stand in one file's name.
METHODS = {Path(path).stem.split('_')[0] for path in FILES} - {'none', 'teacher'}


@functools.cache
def read(path):
    return Config.fromfile(CONFIGS / path)


@pytest.fixture(scope='module', autouse=True)
def model_zoos_are_read_once():
    """MMEngine reads all metafiles of a package for every base in it: 0.3 s each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmengine.config.utils, 'load', functools.cache(mmengine.load))
        yield


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('config_index')


@pytest.fixture
def copied(tmp_path):
    """CIFAR-100's configs of one pair, with the others' folders empty."""
    for folder in ('', 'cifar100/', 'cifar100/_base_/', 'cifar100/_base_/networks/'):
        (tmp_path / folder).mkdir(exist_ok=True)
    for name in ('*_resnet56_resnet20.py', '_base_/*.py', '_base_/networks/*.py'):
        for path in CONFIGS.glob(f'cifar100/{name}'):
            shutil.copy(path, tmp_path / path.relative_to(CONFIGS))
    shutil.copytree(CONFIGS / '_base_', tmp_path / '_base_')
    return tmp_path


def method_of(path):
    parts = Path(path).stem.split('_')
    return '_'.join(part for part in parts if part in METHODS | {'none', 'teacher'})


def published(path):
    """Figures of a config; of CIFAR's, through the pair that it names as its base."""
    text = (CONFIGS / path).read_text(encoding='utf-8')
    pair = re.search(r"'(_base_/[^_']+_[^_']+\.py)'", text)
    return read(f'cifar100/{pair[1]}' if pair else path).get('published', {})


def write(figure, path):
    """A published figure as its table shows it."""
    digits = 1 if path.startswith('coco') else 2
    return '–' if figure is None else f'{figure:.{digits}f}'


def rows(text):
    """Cells of the tables' rows, without the lines below the headings."""
    lines = [line for line in text.splitlines() if line.startswith('| ')]
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]


def test_is_what_the_tool_writes(tool):
    assert tool.write_index(CONFIGS) == INDEX, 'run tools/config_index.py'


def test_links_every_cell_once_and_a_teacher_in_each_of_its_pairs():
    pairs = [Path(path).stem.split('_', 1)[1] for path in FILES if '/none_' in path]
    taught = Counter(f'cifar100/teacher_{pair.split("_")[0]}.py' for pair in pairs)
    expected = {path: taught.get(path, 1) for path in FILES}
    assert Counter(path for _, path, _ in LINKS) == expected
    assert min(expected.values()) == 1 and len(TEACHERS) == 11


def test_what_it_links_is_there():
    links = re.findall(r'\]\(((?!http)[^)]+)\)', INDEX)
    assert len(links) > len(FILES)
    assert [link for link in links if not (CONFIGS / link).exists()] == []
    for path in re.findall(r'python tools/\S+ (\S+)', INDEX):
        assert (ROOT / path).exists()


def test_a_cell_stands_in_its_methods_row():
    for name, *cells in rows(INDEX):
        linked = re.findall(r'\[([^\[\]]+)\]\(http', name) or [name]
        linked = [re.sub(r' \(mmkd\)|-', '', link) for link in linked]
        for path in re.findall(r'\]\((\S+\.py)\)', ' '.join(cells)):
            assert method_of(path) == '_'.join(linked).lower()


@pytest.mark.parametrize(
    'title',
    [
        'CIFAR-100',
        'ImageNet',
        'COCO',
        'COCO, one-stage detectors',
        'COCO, real-time detectors',
    ],
)
def test_a_cell_stands_in_its_pairs_column(title):
    heads, *lines = rows(INDEX.split(f'\n## {title}\n')[1].split('\n## ')[0])
    pairs = []
    for head, *cells in list(zip(heads, *lines))[3:]:
        paths = re.findall(r'\]\((\S+\.py)\)', ' '.join(cells))
        paths = {method_of(path): path for path in paths}
        teacher, none = paths.pop('teacher', None), paths.pop('none')
        (pair,) = {path.split(f'/{method}_')[1] for method, path in paths.items()}
        pairs.append(pair)
        models = [read(path).model for path in paths.values() if 'cifar' not in path]
        for model in models:
            student = read(none).model
            assert model.student.type == student.type
            assert model.student.backbone == student.backbone
            # R101 of a heading such as "Mask R-CNN R101→R18".
            teacher_name = head.split('→')[0].split()[-1].lower()
            config = model.teacher.config.replace('resnet', 'r')
            assert {*teacher_name.split('-')} <= {*re.split('[-_/]', config)}
        if teacher:
            assert none == f'cifar100/none_{pair}'
            assert pair.startswith(Path(teacher).stem[8:] + '_')
    assert len(set(pairs)) == len(pairs) == len(set(heads[3:]))


def test_the_figures_are_those_of_the_configs():
    for shown, path, _ in CELLS:
        assert shown == write(published(path).get(method_of(path)), path), path
    none = [path for _, path, _ in CELLS if path.startswith('cifar100/none_')]
    for shown, path, _ in TEACHERS:
        pairs = [name for name in none if Path(path).stem[8:] in name.split('_')]
        assert pairs
        assert {shown} == {write(published(name)['teacher'], name) for name in pairs}


def test_no_published_figure_is_left_out():
    cells = [cell for _, _, _, *cells in rows(INDEX) for cell in cells]
    shown = Counter(re.findall(r'(?<![\w(])\d+\.\d+', ' '.join(cells)))
    known = Counter(
        write(figure, path)
        for path in FILES
        if '/none_' in path
        for figure in published(path).values()
    )
    assert shown == known


def test_a_dagger_marks_what_nobody_published():
    daggers = 0
    for _, path, mark in LINKS:
        text = (CONFIGS / path).read_text(encoding='utf-8')
        base = CONFIGS / f'cifar100/_base_/{method_of(path)}.py'
        if path.startswith('cifar100') and base.exists():
            text += base.read_text(encoding='utf-8')
        assert bool(mark) == ('(mmkd)' in text), path
        daggers += bool(mark)
    assert 0 < daggers < len(LINKS)


def test_logits_come_first():
    table = INDEX.split('\n## ')[1]
    names = [re.sub(r'\[([^\[\]]+)\].*', r'\1', row[0]) for row in rows(table)]
    assert names[1:5] == ['teacher', 'none', 'KD', 'DKD']
    groups = [row[1] for row in rows(table)][3:]
    assert groups == sorted(groups, reverse=True)
    assert set(groups) == {'logits', 'features'}


def test_check_tells_a_changed_config(copied, monkeypatch):
    (copied / 'README.md').write_text('spoiled')
    command = ['config_index.py', '--check', '--configs', str(copied)]
    monkeypatch.setattr(sys, 'argv', command)
    monkeypatch.syspath_prepend(str(TOOL.parent))
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TOOL), run_name='__main__')
    # What Python prints before it ends with status 1.
    assert stopped.value.code == (
        f'error: {copied / "README.md"} is out of date; change what it is written '
        'from, not the file, and run tools/config_index.py.'
    )
    assert (copied / 'README.md').read_text() == 'spoiled'


def test_follows_the_configs(tool, copied, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['config_index.py', '--configs', str(copied)])
    tool.main()
    written = (copied / 'README.md').read_text(encoding='utf-8')
    assert '[70.66](cifar100/kd_resnet56_resnet20.py) |' in written
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--check'])
    tool.main()
    pair = copied / 'cifar100/_base_/resnet56_resnet20.py'
    pair.write_text(pair.read_text().replace('kd=70.66', 'kd=12.34'))
    with pytest.raises(ConfigError, match='out of date'):
        tool.main()
    assert tool.write_index(copied) == written.replace('[70.66]', '[12.34]')
    cell = copied / 'cifar100/kd_resnet56_resnet20.py'
    cell.write_text(cell.read_text() + '# (mmkd)\n')
    assert '[12.34](cifar100/kd_resnet56_resnet20.py)† |' in tool.write_index(copied)
    pair.write_text(pair.read_text().replace('kd=12.34', 'dk=12.34', 1))
    with pytest.raises(ConfigError, match="'dk' is no method"):
        tool.write_index(copied)
    pair.write_text(pair.read_text().replace('dk=12.34', 'kd=12.34', 1))
    cell.rename(cell.with_name('dk_resnet56_resnet20.py'))
    with pytest.raises(ConfigError, match="'dk' is no method"):
        tool.write_index(copied)
    with pytest.raises(ConfigError, match='has no cifar100/_base_/cells.py'):
        tool.write_index(copied / 'cifar100')
