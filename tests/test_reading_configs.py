"""What is asked of configs beside their values."""

import os.path as osp

import pytest

from mmkd.configs import files_of, load_config, student_alone
from mmkd.testing import toy_classifier


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
