"""CIFAR-100's cells are what their table says, and the table is held to be whole."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from mmkd.configs import load_config
from mmkd.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('cifar_cells')


@pytest.fixture
def bases(tmp_path):
    """A folder of configs with CIFAR-100's table and bases, and no cells."""
    for folder in ('_base_', 'cifar100/_base_'):
        shutil.copytree(CONFIGS / folder, tmp_path / folder)
    return tmp_path


def change(configs, old, new):
    table = configs / 'cifar100/_base_/cells.py'
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def call(tool, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['cifar_cells.py', *map(str, arguments)])
    tool.main()


def test_the_shipped_cells_are_what_the_table_says(tool, monkeypatch):
    call(tool, monkeypatch, '--check')


def test_a_changed_value_changes_its_cells_alone(tool, bases, monkeypatch):
    call(tool, monkeypatch, '--configs', bases)
    folder = bases / 'cifar100'
    before = {path: path.read_text() for path in folder.glob('*.py')}
    assert before
    change(bases, 'dict(gamma=0.3, weight=1.5)', 'dict(gamma=0.7, weight=1.5)')
    with pytest.raises(ConfigError, match='wttm_resnet56_resnet20.py is out of date'):
        call(tool, monkeypatch, '--check', '--configs', bases)
    assert before == {path: path.read_text() for path in folder.glob('*.py')}
    call(tool, monkeypatch, '--configs', bases)
    changed = [path for path, text in before.items() if path.read_text() != text]
    assert changed == [folder / 'wttm_resnet56_resnet20.py']
    assert load_config(str(changed[0])).model.losses.loss_wttm.gamma == 0.7
    call(tool, monkeypatch, '--check', '--configs', bases)


def test_check_tells_a_cell_that_is_missing_and_a_stranger(tool, bases, monkeypatch):
    call(tool, monkeypatch, '--configs', bases)
    cell = bases / 'cifar100/kd_vgg13_vgg8.py'
    cell.rename(cell.with_name('mine.py'))
    with pytest.raises(ConfigError, match='mine.py is no cell of .*; add it there, or'):
        call(tool, monkeypatch, '--check', '--configs', bases)
    cell.with_name('mine.py').unlink()
    with pytest.raises(ConfigError, match='kd_vgg13_vgg8.py is out of date'):
        call(tool, monkeypatch, '--check', '--configs', bases)
    call(tool, monkeypatch, '--configs', bases)
    assert cell.exists()


def test_a_line_without_a_value_leaves_what_the_method_says(tool, bases):
    texts = tool.write_cells(bases)
    texts = {path.stem: text for path, text in texts.items()}
    assert 'loss_weight' in texts['luminet_resnet32x4_resnet8x4']
    assert 'loss_weight' not in texts['luminet_vgg13_vgg8']
    assert not [name for name, text in texts.items() if 'None' in text]


def test_a_pair_and_a_method_are_added_in_the_table(tool, bases, monkeypatch):
    folder = bases / 'cifar100/_base_'
    pair = (folder / 'resnet56_resnet20.py').read_text()
    pair = pair.replace('_base_.resnet20', '_base_.resnet32')
    pair = pair.replace('networks/resnet20', 'networks/resnet32')
    (folder / 'resnet56_resnet32.py').write_text(pair)
    method = (folder / 'kd.py').read_text().replace('loss_kd', 'loss_own')
    (folder / 'own.py').write_text(method)
    with open(folder / 'cells.py', 'a') as table:
        table.write(
            "pairs.append('resnet56_resnet32')\n"
            "lines = ['losses = dict(loss_own=dict(tau={tau}))']\n"
            'values = {pair: dict(tau=2.5) for pair in pairs}\n'
            "source = 'a paper'\n"
            'methods = dict(own=dict(lines=lines, values=values, source=source))\n'
        )
    call(tool, monkeypatch, '--configs', bases)
    cells = {path.stem for path in (bases / 'cifar100').glob('*_resnet56_resnet32.py')}
    assert cells == {'none_resnet56_resnet32', 'own_resnet56_resnet32'}
    cell = bases / 'cifar100/own_resnet56_resnet32.py'
    assert 'a paper' in cell.read_text()
    model = load_config(str(cell)).model
    assert model.student.backbone.depth == 32 and model.losses.loss_own.tau == 2.5


@pytest.mark.parametrize(
    ('old', 'new', 'sentence'),
    [
        (
            'gamma=0.3, weight=1.5',
            'gamma=0.3',
            "has the values ['gamma'] for",
        ),
        ('gamma=0.3,', 'gama=0.3,', "its lines take ['gamma', 'weight']"),
        ('source="the paper\'s tables 8 and 9"', 'source=None', 'a source where'),
        (
            "'vgg13_vgg8': dict(w",
            "'vgg13_vgg9': dict(w",
            'values for vgg13_vgg9',
        ),
        (
            "    'vgg13_vgg8',\n",
            "    'vgg13_vgg9',\n",
            'write its base, _base_/vgg',
        ),
        ('crd=dict()', 'crcd=dict()', 'write its base, _base_/crcd.py'),
        ('pairs = [', 'pairs = ', 'is not valid'),
    ],
)
def test_a_table_that_is_not_whole_is_refused(tool, bases, old, new, sentence):
    change(bases, old, new)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        tool.write_cells(bases)


def test_another_folder_is_refused(tool, tmp_path):
    with pytest.raises(ConfigError, match='has no cifar100/_base_/cells.py; give'):
        tool.write_cells(tmp_path)
