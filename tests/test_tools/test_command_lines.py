"""Every tool's command line: its help, and values that are wrong."""

import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, LOOPS

from mmkd.engine import arguments

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(
    path.relative_to(ROOT / 'tools').with_suffix('').as_posix()
    for path in (ROOT / 'tools').rglob('*.py')
)
CELL = 'configs/cifar100/none_resnet56_resnet20.py'
DISTILLED = 'configs/cifar100/kd_resnet56_resnet20.py'
PROBE = f'linear_probe {CELL} random --dataset digits'
PAIR = f'{CELL} a.pth --dataset digits'


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs a tool in this process; returns how it ended and what it said."""

    def call_here(line):
        tool, *given = shlex.split(line)
        path = ROOT / f'tools/{tool}.py'
        for registry in (DATASETS, LOOPS):  # what train_speed.py registers
            monkeypatch.setattr(registry, '_module_dict', {**registry.module_dict})
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, 'argv', [str(path), *given])
        monkeypatch.syspath_prepend(str(path.parent))
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(path), run_name='__main__')
        code, printed = stopped.value.code, capsys.readouterr()
        text = code if isinstance(code, str) else printed.err or printed.out
        return code, text

    monkeypatch.setenv('LOCAL_RANK', '0')  # which the tools set for good
    monkeypatch.delenv('RANK', raising=False)
    return call_here


@pytest.mark.parametrize('tool', TOOLS)
def test_help_keeps_lines_and_says_something_of_each_flag(tool, call):
    code, text = call(f'{tool} --help')
    assert code == 0
    source = (ROOT / f'tools/{tool}.py').read_text(encoding='utf-8')
    example = re.search(r'\n( +python tools/.*\n(?: {8}.*\n)*)', source)
    if example:
        assert example[1].rstrip() in text
    flags = re.split(r'\n  (?=-)', text)[1:]
    assert len(flags) >= 2 and any('--debug' in flag for flag in flags)
    for flag in flags:
        assert re.search(r'[^\n]  +\w|\n {10,}\S', flag), flag


def test_help_tells_defaults(call):
    text = call('run_benchmark --help')[1]
    for default in ('0 1 2', 'work_dirs/benchmark', '1.0'):
        assert f'(default: {default})' in text
    assert 'None' not in text and 'False' not in text
    assert '(default: 0)' in call('quickstart --help')[1]


@pytest.mark.parametrize(
    'line, words',
    [
        ('train', 'required: config'),
        (f'train {CELL} --cfg-options', 'expected at least one'),
        (f'test {CELL} a.pth --wait-time -1', "'-1' is no number from 0"),
        (f'{PROBE} --limit 0', "'0' is no whole number of at least 1"),
        (f'{PROBE} --limit 1.5', "'1.5' is no whole number"),
        (f'{PROBE} --batch-size 0', 'no whole number'),
        (f'{PROBE} --workers -1', 'of at least 0'),
        (f'{PROBE} --input-size 0', 'of at least 1'),
        (f'{PROBE} --epochs x', 'of at least 1'),
        (f'{PROBE} --seeds -1', 'from 0 to 4294967295'),
        (f'{PROBE} --learning-rates nan', "'nan' is no number from 0"),
        (f'{PROBE} --weight-decays -1', 'no number from 0'),
        (f'{PROBE} --held-out 0', 'no number above 0'),
        ('quickstart --seed -1', 'from 0 to 4294967295'),
        ('quickstart --scale 0', 'no number above 0 to 1'),
        ('quickstart --scale inf', 'no number above 0 to 1'),
        (f'run_benchmark {CELL} --jobs 0', 'of at least 1'),
        (f'run_benchmark {CELL} --seeds 4294967296', 'from 0 to'),
        (f'run_benchmark {CELL} --gpus -1', 'of at least 0'),
        (f'run_benchmark {CELL} --epochs 0', 'of at least 1'),
        (f'run_benchmark {CELL} --classes 1', 'of at least 2'),
        (f'run_benchmark {CELL} --fraction 2', 'above 0 to 1'),
        (f'run_benchmark {CELL} --hold-out -1', 'no number from 0'),
        (f'analysis/cka {PAIR} --limit 0', 'of at least 1'),
        (f'analysis/tsne {PAIR} --perplexity 0', 'above 0'),
        (f'analysis/tsne {PAIR} --per-class 0', 'of at least 1'),
        ('analysis/detection_errors a b=c --score 2', 'from 0 to 1'),
        ('model_converters/convert_cifar a b --arch x', 'invalid choice'),
        (
            'model_converters/convert_cifar a b --arch resnet56 --num-classes 0',
            'of at least 1',
        ),
        (f'benchmarks/step_cost {CELL} --batch 0', 'of at least 1'),
        (f'benchmarks/loss_cost {CELL} --rounds 1', 'of at least 2'),
        (f'benchmarks/train_speed {CELL} --rounds 1', 'of at least 2'),
    ],
)
def test_a_value_that_a_flag_does_not_take(line, words, call):
    code, text = call(line)
    assert code == 2 and words in text.splitlines()[-1]


OPTIONS = f'train {CELL} --cfg-options'


@pytest.mark.parametrize(
    'line, words',
    [
        (f'{OPTIONS} a', "'a' is no KEY=VALUE; give KEY=VALUE"),
        (f'{OPTIONS} =1', "'=1' is no KEY=VALUE"),
        (f'{OPTIONS} model.head.topk=', 'is no KEY=VALUE; .*an empty text'),
        (f'{OPTIONS} model.head.topk=[1, 2]', 'brackets .*in quotes'),
        (f'{OPTIONS} "model.head.topk=(1,2"', 'brackets'),
        (f'{OPTIONS} "model.head={{}}"', 'is a dict; set what is in it one by one'),
        (f'{OPTIONS} optim_wraper.optimizer.lr=1', 'did you mean optim_wrapper'),
        (f'inspect_distill {DISTILLED} --cfg-options lr=1', 'has no lr'),
        (f'export_student {CELL} a.pth --cfg-options lr=1', 'has no lr'),
        (f'analysis/cka {PAIR} --cfg-options lr=1', 'has no lr'),
        (f'run_benchmark {CELL} --out OUT --cfg-options lr=1', 'has no lr'),
        (f'benchmarks/step_cost {DISTILLED} --cfg-options lr=1', 'has no lr'),
        (f'benchmarks/train_speed {DISTILLED} --cfg-options lr=1', 'has no lr'),
        (f'{OPTIONS} randomness.seed=-1', 'randomness.seed=-1 is no whole number'),
        (f'{OPTIONS} randomness.seed=a', "randomness.seed='a' is no whole number"),
        (f'{OPTIONS} randomness.seed=1.5', 'randomness.seed=1.5 is no whole'),
        (f'{OPTIONS} randomness.seed=True', 'randomness.seed=True is no whole'),
        (f'{OPTIONS} randomness=3', 'randomness must be dict|randomness is a dict'),
        (f'{OPTIONS} optim_wrapper=None --amp', '--amp needs'),
        (f'train {CELL} --launcher pytorch', 'RANK is not set; start the processes'),
        (f'train {CELL} --launcher mpi', 'OMPI_COMM_WORLD_RANK is not set'),
        (f'test {CELL} a.pth --launcher slurm', 'SLURM_PROCID is not set'),
        (
            f'train {CELL} --work-dir FILE',
            'the work dir .*file is a file; give a folder',
        ),
        (f'test {CELL} a.pth --work-dir FILE', 'is a file; give a folder'),
        (f'run_benchmark {CELL} --out FILE', 'file(/lock)? cannot be written'),
        ('quickstart --scale 0.01 --work-dir FILE', 'file(/lock)? cannot be written'),
        (f'run_benchmark {CELL} --out OUT --epochs 3', '--epochs 3 .*at least 4[.]'),
        ('train NO_MODEL', 'has no model'),
        ('test NO_MODEL a.pth', 'has no model'),
        ('export_student NO_MODEL a.pth', 'has no model'),
        ('inspect_distill NO_MODEL', 'has no model'),
        ('linear_probe NO_MODEL random --dataset digits', 'has no model'),
        ('analysis/cka NO_MODEL a.pth --dataset digits', 'has no model'),
        ('analysis/tsne NO_MODEL a.pth --dataset digits', 'has no model'),
        ('run_benchmark NO_MODEL --out OUT', 'has no model'),
        ('benchmarks/step_cost NO_MODEL', 'has no model'),
        ('benchmarks/loss_cost NO_MODEL', 'needs a model'),
        ('benchmarks/loss_cost configs/quickstart/luminet.py', 'is of no classifier'),
        ('benchmarks/train_speed NO_MODEL', 'has no model'),
        (
            'benchmarks/train_speed configs/quickstart/luminet.py',
            'not on the fast',
        ),
        (f'inspect_distill {CELL}', 'the model is ImageClassifier, not mmkd'),
    ],
)
def test_what_cannot_be_done_is_one_sentence(line, words, call, tmp_path):
    for name, text in (('file', ''), ('no_model.py', 'a = 1')):
        (tmp_path / name).write_text(text)
    for name in ('FILE', 'NO_MODEL.py', 'OUT'):
        line = line.replace(Path(name).stem, str(tmp_path / name.lower()))
    code, text = call(line)
    assert re.match(f'error: .*({words})', text), text
    assert '\n' not in text and code == text


def test_debug_is_of_every_tool_and_of_what_it_starts(call, monkeypatch):
    monkeypatch.setenv('MMKD_DEBUG', '0')
    code, text = call(f'inspect_distill {CELL} --debug')
    assert os.environ['MMKD_DEBUG'] == '1'
    assert code == text and 'nothing is distilled' in text


@pytest.mark.parametrize('text, value', [('0', 0), ('4294967295', 2**32 - 1)])
def test_a_seed(text, value):
    assert arguments.seed(text) == value
