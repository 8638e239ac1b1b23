"""What is asked of configs beside their values."""

import os.path as osp
import time

import pytest
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import ImageClassifier

from mmkd.benchmark.metric import metric_of
from mmkd.configs import (
    build_model,
    files_of,
    is_distiller,
    load_config,
    load_model_config,
    name_of,
    student_alone,
    teachers_of,
    type_of,
)
from mmkd.engine.checks import check_batch_size, check_data
from mmkd.errors import ConfigError
from mmkd.export import stock_config
from mmkd.losses import DISTLoss
from mmkd.models import Distiller
from mmkd.testing import classification_batch, toy_classifier


def write(folder, **texts):
    for name, text in texts.items():
        path = folder / f'{name.replace("__", "/")}.py'
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize('importing', [False, True])
def test_files_of_a_config_are_its_bases_too(importing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if importing:  # MMEngine's newer style
        top = 'with read_base():\n    from .bases.middle import *\n'
        middle = 'with read_base():\n    from ..bottom import *\n'
        package = 'with read_base():\n    from mmengine.version import *\n'
        texts = dict(top=top + 'b = 2\n', bases__middle=middle, bottom=package)
    else:
        texts = dict(
            top="_base_ = ['bases/middle.py']\n",
            bases__middle="_base_ = '../bottom.py'",
        )
    write(tmp_path, **dict(dict(bottom='a = 1\n', other='c = 1\n'), **texts))
    files = {osp.realpath(path) for path in files_of(load_config('top.py'))}
    names = {'top.py', 'bases/middle.py', 'bottom.py'}
    assert {osp.realpath(name) for name in names} <= files
    assert osp.realpath('other.py') not in files
    outside = [path for path in files if not path.startswith(osp.realpath('.'))]
    assert len(outside) == importing


def test_a_student_alone_has_its_distillers_preprocessor():
    stats, own = (
        dict(mean=[1.0] * 3, std=[2.0] * 3),
        dict(mean=[3.0] * 3, std=[1.0] * 3),
    )
    student = toy_classifier()
    model = dict(type='mmkd.Distiller', student=student, data_preprocessor=stats)
    assert student_alone(student) is student
    student.data_preprocessor = own
    assert student_alone(model)['data_preprocessor'] == own
    del student['data_preprocessor']
    assert student_alone(model)['data_preprocessor'] == stats
    assert 'data_preprocessor' not in student
    assert student_alone(dict(type='Distiller', student=student)) == student


@pytest.mark.parametrize(
    'name, text, sentence',
    [
        ('a.py', "_base_ = './b.py'", 'form a circle, a.py -> b.py -> a.py'),
        ('a.py', "_base_ = ['./a.py']", 'form a circle, a.py -> a.py'),
        ('a.yaml', '_base_: ./a.yaml', 'form a circle, a.yaml -> a.yaml'),
        (
            'a.py',
            'from mmengine.config import read_base\n'
            'with read_base():\n    from .a import *',
            'form a circle, a.py -> a.py',
        ),
        ('a.py', 'c = 1\nb = foo', "'foo' is not defined .line 2 of .*a.py.; correct"),
        ('a.py', '_base_ = "./bad.py"', "'bar' is not defined .line 1 of .*bad.py"),
        ('a.py', 'raise SystemExit(0)', 'SystemExit: 0 .line 1'),
        ('a.py', 'def f(:', 'SyntaxError'),
        ('a.py', '_base_ = 3', 'is not valid'),
        ('a.py', 'a = "\xff"', "UnicodeDecodeError: 'utf-8'"),
        ('a.txt', 'a = 1', 'ends in none of .py, .yaml, .yml, .json'),
        ('a', 'a = 1', 'ends in none of'),
        ('a.yaml', 'a: [1', "line 1, .*expected ',' or ']'"),
        ('a.yaml', '', 'holds NoneType, not names with values'),
        ('a.json', '[1, 2]', 'holds list, not names with values'),
        ('a.json', '{"a": ', 'JSONDecodeError'),
        ('folder/a.py', 'a = 1', 'is a folder; give a file in it'),
        ('mmdet::a.py', None, 'is no package::folder/file.py'),
        ('no_such::a/b.py', None, 'no_such'),
        ('', None, 'is a folder|cannot be read'),
    ],
)
def test_a_config_that_cannot_be_read_is_one_sentence(
    name, text, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, b="_base_ = './a.py'\n", bad='a = bar\n')
    if text is not None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding='latin-1')
    given = 'folder' if name.startswith('folder') else name
    start = time.monotonic()
    with pytest.raises(ConfigError, match=f'^config .*({sentence})') as caught:
        load_config(given)
    assert '\n' not in str(caught.value)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('a = 1', 'has no model'),
        ('model = 3', 'has no model'),
        ('model = dict(depth=3)', 'has no model'),
        ("model = dict(type='mmkd.Distiller')", 'the Distiller has no student'),
    ],
)
def test_a_config_without_a_model(text, sentence, tmp_path):
    path = write(tmp_path, a=text) / 'a.py'
    assert load_config(str(path)) is not None
    with pytest.raises(ConfigError, match=f'{path}.* {sentence}; give'):
        load_model_config(str(path))


class MyDistiller(Distiller):
    pass


@pytest.mark.parametrize(
    'kind, text, known',
    [
        ('Distiller', 'Distiller', True),
        ('mmkd.Distiller', 'mmkd.Distiller', True),
        ('mmkd.models.distiller.Distiller', 'mmkd.Distiller', True),
        (Distiller, 'mmkd.Distiller', True),
        (MyDistiller, None, True),
        ('mmrazor.Distiller', 'mmrazor.Distiller', False),
        ('ImageClassifier', 'ImageClassifier', False),
        (ImageClassifier, 'mmpretrain.ImageClassifier', False),
        (None, '', False),
        (3, None, False),
    ],
)
def test_a_type_is_known_by_each_spelling(kind, text, known):
    part = dict(type=kind)
    assert is_distiller(part) is known
    if text is not None:
        assert type_of(part) == text
        assert name_of(part) == text.rpartition('.')[2]


LAZY = """
from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from mmpretrain.datasets import CIFAR100
from mmpretrain.evaluation import Accuracy
from torch.optim import SGD

from mmkd.losses import KDLoss
from mmkd.models import Distiller

with read_base():
    from .base import *

default_scope = 'mmpretrain'
model = dict(
    type=Distiller,
    student=student,
    teacher=dict(config=student, checkpoint=None, allow_untrained=True),
    losses=dict(loss_kd=dict(type=KDLoss, on='logits', tau=4.0)),
    probe_size=32,
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1))
train_dataloader = dict(batch_size=1, dataset=dict(type=CIFAR100, data_root='none'))
val_evaluator = dict(type=Accuracy, topk=(1, 5))
"""


@pytest.fixture
def lazy(tmp_path):
    """A config of MMEngine's newer style, with classes as types."""
    student = toy_classifier()
    student.pop('_scope_')
    base = f'student = {student.to_dict()!r}\n'
    return str(write(tmp_path, base=base, lazy=LAZY) / 'lazy.py')


def test_a_lazy_config_trains_as_one_of_names(lazy, tmp_path):
    cfg = load_model_config(lazy, {'model.losses.loss_kd.tau': 2.0})
    assert is_distiller(cfg.model)
    model = build_model(cfg)
    assert model.terms[0].loss.tau == 2.0
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train().train_step(classification_batch(), optim_wrapper)
    assert log['loss_kd'].isfinite()
    # As run_benchmark and MMEngine write it: classes by their modules.
    cfg.dump(tmp_path / 'dumped.py')
    again = load_model_config(str(tmp_path / 'dumped.py'))
    assert is_distiller(again.model) and again.model.losses.loss_kd.tau == 2.0
    assert list(teachers_of(again.model)) == ['teacher']
    assert build_model(again).terms[0].loss.tau == 2.0


def test_what_is_asked_of_a_lazy_config(lazy, tmp_path, monkeypatch):
    cfg = load_model_config(lazy)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'none').mkdir()
    check_data(cfg)  # CIFAR is downloaded into a folder that is there
    assert metric_of(cfg).key == 'accuracy/top1'
    stock = stock_config(cfg)
    assert not is_distiller(stock.config.model) and not stock.left
    cfg.model.losses.loss_kd = dict(type=DISTLoss, on='logits')
    with pytest.raises(ConfigError, match='DISTLoss compares the samples of a batch'):
        check_batch_size(cfg)
