"""A pickle module that runs only what is on the list, for torch < 2.6.

There ``weights_only=True`` cannot be taught the names in an MMEngine checkpoint
(https://github.com/pytorch/pytorch/pull/142153), so ``torch.load`` is given this module
as its ``pickle_module``; see "Restricting Globals" in
https://docs.python.org/3/library/pickle.html. Delete it when mmkd requires torch 2.6.
"""

import pickle
import sys
from _compat_pickle import IMPORT_MAPPING
from typing import Any

import torch
from torch import serialization
from torch._weights_only_unpickler import _get_allowed_globals

from mmkd.compat.safe_globals import SAFE_GLOBALS


class Unpickler(pickle.Unpickler):
    """Finds PyTorch's safe globals and those of MMEngine, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        # Protocol 2 writes Python 2's module names.
        path = f'{IMPORT_MAPPING.get(module, module)}.{name}'
        for allowed in (_get_allowed_globals(), SAFE_GLOBALS):
            if path in allowed:
                return allowed[path]
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {path}')


def load(file, **kwargs) -> Any:
    """As :func:`pickle.load`; torch reads the header of old files with it."""
    return Unpickler(file, **kwargs).load()


def torch_load(file, map_location) -> Any:
    """As ``torch.load(file, map_location, weights_only=True)`` of torch 2.6.

    Raises:
        pickle.UnpicklingError: The file names something that is not on the list.
        RuntimeError: It is a TorchScript archive, which is code.
    """
    with serialization._open_file_like(file, 'rb') as opened:
        start = opened.tell()
        if serialization._is_zipfile(opened):
            with serialization._open_zipfile_reader(opened) as archive:
                if serialization._is_torchscript_zip(archive):
                    raise RuntimeError('a TorchScript archive')
        opened.seek(start)
    return torch.load(
        file,
        map_location=map_location,
        pickle_module=sys.modules[__name__],
        weights_only=False,
    )
