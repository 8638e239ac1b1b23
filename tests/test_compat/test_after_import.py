"""An action after an import, whoever imports."""

import importlib
import inspect
import sys

import pytest

from mmkd.compat.after_import import AfterImport, after_import


@pytest.fixture
def package(tmp_path, monkeypatch):
    tmp_path.joinpath('imported_later.py').write_text('value = [1]')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', sys.meta_path[:])
    yield 'imported_later'
    sys.modules.pop('imported_later', None)


def test_acts_after_the_module_is_executed(package):
    values = []
    after_import(package, lambda: values.extend(sys.modules[package].value))
    assert importlib.util.find_spec(package) and package not in sys.modules
    assert values == []
    module = importlib.import_module(package)
    importlib.import_module(package)
    assert values == [1]
    assert inspect.getsource(module) == 'value = [1]\n'


def test_acts_at_once_where_it_is_imported(package):
    importlib.import_module(package)
    values = []
    after_import(package, lambda: values.append(1))
    assert values == [1]


def test_acts_once_for_two_calls(package):
    values = []
    for value in (1, 2):
        after_import(package, lambda value=value: values.append(value))
    importlib.import_module(package)
    assert values == [1]


def test_what_the_action_raises_the_import_raises_each_time(package):
    def refuse():
        raise ImportError('does not fit')

    after_import(package, refuse)
    for _ in range(2):
        with pytest.raises(ImportError, match='does not fit'):
            importlib.import_module(package)
        assert package not in sys.modules


def test_what_nobody_finds_stays_missing(package):
    finder = AfterImport('nowhere_at_all', lambda: None)
    sys.meta_path.insert(0, finder)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('nowhere_at_all')
