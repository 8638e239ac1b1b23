"""A pickle module that runs only what is on the list.

``torch.load`` is given it as its ``pickle_module`` for torch < 2.6, where
``weights_only=True`` cannot be taught the names in an MMEngine checkpoint
(https://github.com/pytorch/pytorch/pull/142153), and the pickles of CIFAR are read with
it. See "Restricting Globals" in https://docs.python.org/3/library/pickle.html. Beyond
that a file calls nothing but what is on the list and changes nothing but what it made,
as in PyTorch's own ``torch/_weights_only_unpickler.py``. When mmkd requires torch 2.6,
delete :func:`load` and :func:`torch_load`.
"""

import pickle
import sys
import tarfile
from _compat_pickle import IMPORT_MAPPING
from collections import Counter, OrderedDict
from typing import Any, Callable

import torch
from torch import serialization
from torch._weights_only_unpickler import _get_allowed_globals

from mmkd.compat.pickled import Array, DType, History, plain
from mmkd.compat.safe_globals import SAFE_GLOBALS


def _allowed(function: Any) -> None:
    values = [*SAFE_GLOBALS.values(), *_get_allowed_globals().values()]
    if not any(function is value for value in values):
        raise _refused(f'{type(function).__name__} (called)')


def _one_of(target: Any, *kinds: type) -> None:
    if type(target) not in kinds:
        raise _refused(f'{type(target).__name__} (changed)')


def _never(unpickler: Any) -> None:
    raise _refused('pickle (opcodes that no checkpoint has)')


_DICTS = (dict, OrderedDict, Counter)
_BUILT = (Array, DType, History, OrderedDict, torch.Tensor, torch.nn.Parameter)
#: What is asked before an opcode runs. Below its arguments, or below the mark under
#: them, is what it calls or changes.
CHECKS = {
    pickle.REDUCE: lambda self: _allowed(self.stack[-2]),
    pickle.NEWOBJ: lambda self: _allowed(self.stack[-2]),
    pickle.APPEND: lambda self: _one_of(self.stack[-2], list),
    pickle.APPENDS: lambda self: _one_of(self.metastack[-1][-1], list),
    pickle.SETITEM: lambda self: _one_of(self.stack[-3], *_DICTS),
    pickle.SETITEMS: lambda self: _one_of(self.metastack[-1][-1], *_DICTS),
    pickle.ADDITEMS: lambda self: _one_of(self.metastack[-1][-1], set),
    pickle.BUILD: lambda self: _one_of(self.stack[-2], *_BUILT),
    pickle.OBJ: _never,
    pickle.INST: _never,
    pickle.NEWOBJ_EX: _never,
    pickle.EXT1: _never,
    pickle.EXT2: _never,
    pickle.EXT4: _never,
}


def _checked(opcode: bytes, check: Callable) -> Callable:
    run = pickle._Unpickler.dispatch[opcode[0]]

    def load(unpickler: Any) -> None:
        check(unpickler)
        run(unpickler)

    return load


class Unpickler(pickle._Unpickler):
    """Finds PyTorch's safe globals and those of MMEngine, nothing else.

    It is the one written in Python: the one in C lets a file change whatever it names.
    """

    dispatch = {
        **pickle._Unpickler.dispatch,
        **{opcode[0]: _checked(opcode, check) for opcode, check in CHECKS.items()},
    }

    def find_class(self, module: str, name: str) -> Any:
        # Protocol 2 writes Python 2's module names.
        path = f'{IMPORT_MAPPING.get(module, module)}.{name}'
        for allowed in (SAFE_GLOBALS, _get_allowed_globals()):
            if path in allowed:
                return allowed[path]
        raise _refused(path)

    def load(self) -> Any:
        return plain(super().load())


def _refused(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f'Unsupported global: GLOBAL {what}')


def load(file, **kwargs) -> Any:
    """As :func:`pickle.load`; torch reads the header of old files with it."""
    return Unpickler(file, **kwargs).load()


def torch_load(file, map_location) -> Any:
    """As ``torch.load(file, map_location, weights_only=True)`` of torch 2.6.

    Raises:
        pickle.UnpicklingError: The file names something that is not on the list.
        RuntimeError: It is a TorchScript archive, which is code, or a tar archive.
    """
    with serialization._open_file_like(file, 'rb') as opened:
        start = opened.tell()
        if serialization._is_zipfile(opened):
            with serialization._open_zipfile_reader(opened) as archive:
                if serialization._is_torchscript_zip(archive):
                    raise RuntimeError('a TorchScript archive')
        opened.seek(start)
        if tarfile.is_tarfile(opened):
            raise RuntimeError('a tar archive')
        opened.seek(start)
    return torch.load(
        file,
        map_location=map_location,
        pickle_module=sys.modules[__name__],
        weights_only=False,
    )
