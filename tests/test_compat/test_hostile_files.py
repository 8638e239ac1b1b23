"""Files made to read or write memory, or to change the process: refused by name."""

import io
import pickle
import re
import runpy
import sys
from collections import OrderedDict
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import get_state_dict

from mmkd.compat.checkpoints import safe_load
from mmkd.configs import build_model
from mmkd.datasets import CIFAR10
from mmkd.errors import CheckpointError
from mmkd.testing import toy_classifier

try:
    from numpy._core.multiarray import _reconstruct, scalar
except ModuleNotFoundError:  # numpy 1
    from numpy.core.multiarray import _reconstruct, scalar

EXPORT = Path(__file__).resolve().parents[2] / 'tools/export_student.py'
WORDS = b'A' * 8


def hostile(call):
    """By name: an object that pickles as an attack, and what its refusal names."""

    def dtype(name, *state):
        return call(np.dtype, name, False, True, state=state or None)

    def array(dtype, shape=(1,), data=WORDS, *more):
        state = (1, shape, dtype, False, data, *more)
        return call(_reconstruct, np.ndarray, (0,), b'b', state=state)

    objects = dtype('O', 3, '|', None, None, None, -1, -1, 0)
    parts = dtype('V8', 3, '|', None, ('a',), {'a': (dtype('O'), 0)}, 8, 1, 0)
    numbers = dtype('i8')
    called, built = 'numpy.ndarray', 'numpy.dtype'
    return {
        'buffer': (call(np.ndarray, (1,), numbers, WORDS), called),
        'before its buffer': (call(np.ndarray, (1,), numbers, WORDS, -(2**40)), called),
        'objects': (call(np.ndarray, (1,), dtype('O'), WORDS), built),
        'objects without a flag': (array(objects), built),
        'objects in a field': (array(parts), built),
        'smaller than nothing': (
            array(dtype('S8', 3, '|', None, None, None, -8, 1, 0), (4,)),
            called,
        ),
        'beyond its data': (array(numbers, (2,)), called),
        'short of its data': (array(numbers, (0,)), called),
        'a negative shape': (array(numbers, (-1,)), called),
        'no shape': (array(numbers, 1), called),
        'not empty': (call(_reconstruct, np.ndarray, (9,), numbers), called),
        'of another class': (call(_reconstruct, HistoryBuffer, (0,), b'b'), called),
        'no state': (call(_reconstruct, np.ndarray, (0,), b'b'), called),
        'no text': (array(dtype('U1'), (2,), WORDS), called),
        'no dtype': (array('i8'), called),
        'a scalar beyond its data': (call(scalar, dtype('U9'), WORDS), called),
        'a scalar of objects': (call(scalar, dtype('O'), WORDS), built),
        'text for a method': (call(getattr, HistoryBuffer, '__init__'), 'getattr'),
        'a method of an array': (call(getattr, np.ndarray, 'tofile'), 'getattr'),
    }


KINDS = list(hostile(lambda *args, **kwargs: None))


@pytest.fixture
def write(tmp_path, call):
    def write(kind):
        path = tmp_path / 'hostile.pth'
        attack, named = hostile(call)[kind]
        torch.save({'state_dict': {'w': torch.ones(2)}, 'x': attack}, path)
        return path, named

    return write


def outcome(path):
    try:
        return repr(safe_load(path))
    except CheckpointError as error:
        return f'refused: {error}'


@pytest.mark.parametrize('kind', KINDS)
def test_a_checkpoint(reader, kind, write, forked):
    path, named = write(kind)
    status, said = forked(outcome, path)
    assert status == 0
    assert said.startswith(f'refused: {path}')
    assert re.search(rf'needs [\w.]*{named}', said) and '\n' not in said


@pytest.mark.parametrize('kind', KINDS)
def test_a_data_set(tmp_path, kind, call, forked):
    attack, named = hostile(call)[kind]
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        entry = dict(data=np.zeros((1, 3072), np.uint8), labels=[0], batch_label=attack)
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))

    def read():
        try:
            return str(len(CIFAR10(str(tmp_path), check_md5=False, pipeline=[])))
        except ValueError as error:
            return f'{type(error).__name__}: {error}'

    status, said = forked(read)
    assert status == 0
    assert said.startswith('DataError') and named in said


def test_the_tool_says_one_sentence(tmp_path, call, forked):
    spec = dict(type='mmkd.Distiller', student=toy_classifier(), losses={})
    Config(dict(default_scope='mmpretrain', model=spec)).dump(tmp_path / 'mine.py')
    weights = get_state_dict(build_model(Config(dict(model=spec))))

    def export(path):
        arguments = [tmp_path / 'mine.py', path, '--out-dir', tmp_path / 'out']
        sys.argv = [str(EXPORT), *map(str, arguments)]
        said = io.StringIO()
        try:
            with redirect_stderr(said), redirect_stdout(said):
                runpy.run_path(str(EXPORT), run_name='__main__')
        except SystemExit as stopped:
            print(stopped.code if isinstance(stopped.code, str) else '', file=said)
        return said.getvalue()

    for kind in ('before its buffer', 'objects in a field'):
        path = tmp_path / 'hostile.pth'
        torch.save({'state_dict': weights, 'x': hostile(call)[kind][0]}, path)
        status, said = forked(export, path)
        assert status == 0
        assert f'{path} holds more than weights' in said.strip().splitlines()[-1]
        assert 'Traceback' not in said
    assert not list((tmp_path / 'out').glob('*'))


class Poisoned(HistoryBuffer):
    """Saves as a history whose mean is its maximum, for the whole process."""

    def __reduce__(self):
        state = dict(self.__dict__, statistics_methods={'mean': HistoryBuffer.max})
        return HistoryBuffer, (), state


def test_a_history_brings_no_statistics(reader, tmp_path):
    history = Poisoned()
    for value in (1.0, 2.0):
        history.update(value)
    torch.save(history, tmp_path / 'history.pth')
    before = dict(HistoryBuffer._statistics_methods)
    loaded = safe_load(tmp_path / 'history.pth')
    assert HistoryBuffer._statistics_methods == before
    assert type(loaded) is HistoryBuffer
    assert loaded.statistics('mean') == 1.5


@pytest.mark.parametrize(
    'state',
    [
        {'_log_history': np.ones(3)},
        {'_count_history': 'no array'},
        {'_count_history': np.ones((2, 1))},
        {'_log_history': np.array(['a', 'b'])},
        {'max_length': -1},
        {'max_length': np.int64(3)},
    ],
)  # fmt: skip
def test_a_history_is_two_arrays_and_a_length(reader, tmp_path, state, call):
    whole = dict(_log_history=np.ones(2), _count_history=np.ones(2), max_length=9)
    history = call(HistoryBuffer, state={**whole, **state})
    torch.save(history, tmp_path / 'history.pth')
    with pytest.raises(CheckpointError, match='needs mmengine.*HistoryBuffer'):
        safe_load(tmp_path / 'history.pth')


@pytest.mark.parametrize(
    'owner',
    [torch.UntypedStorage, torch._utils._rebuild_tensor_v2, torch.Tensor, getattr],
)
def test_what_is_named_is_not_changed(reader, tmp_path, owner, forked):
    name = f'{owner.__module__}\n{owner.__name__}\n'.encode()
    path = tmp_path / 'hostile.pth'
    path.write_bytes(b'\x80\x02c' + name + b'(N}U\x06spoiltK\x05stb.')

    def load():
        return outcome(path), hasattr(owner, 'spoilt')

    status, (said, spoilt) = forked(load)
    assert status == 0 and said.startswith('refused')
    assert not spoilt


def test_an_array_has_one_state(reader, tmp_path):
    """Numpy frees the first, whoever still looks at it."""
    array = pickle.dumps(np.arange(2.0), protocol=2)
    start = array.rindex(b'(K\x01K\x02\x85')
    path = tmp_path / 'hostile.pth'
    path.write_bytes(array[:-1] + array[start:-1] + b'.')
    with pytest.raises(CheckpointError, match='set twice'):
        safe_load(path)


def test_shared_parts_are_not_walked_again(reader, tmp_path):
    nested = np.arange(2)
    for _ in range(60):
        nested = (nested, nested)
    torch.save(nested, tmp_path / 'nested.pth')
    loaded = safe_load(tmp_path / 'nested.pth')
    while isinstance(loaded, tuple):
        assert loaded[0] is loaded[1]
        loaded = loaded[0]
    assert loaded.tolist() == [0, 1]


def test_a_wish_for_too_much_memory(reader, tmp_path, call):
    torch.save(call(bytearray, 2**62), tmp_path / 'hostile.pth')
    with pytest.raises(CheckpointError, match='more memory than there is'):
        safe_load(tmp_path / 'hostile.pth')


def test_what_others_allow_does_not_replace_the_list(tmp_path, call):
    """As the fork of MMEngine does: ``getattr`` and numpy's own constructors."""
    serialization = pytest.importorskip('torch').serialization
    if not hasattr(serialization, 'safe_globals'):
        pytest.skip('torch < 2.5')
    path = tmp_path / 'hostile.pth'
    torch.save(hostile(call)['buffer'][0], path)
    theirs = [getattr, np.ndarray, np.dtype, _reconstruct, OrderedDict]
    with serialization.safe_globals(theirs):
        with pytest.raises(CheckpointError, match=r'ndarray \(called directly\)'):
            safe_load(path)
        assert getattr in serialization.get_safe_globals()
