"""What is kept in a file under names: which of it are weights, and sound ones."""

from typing import Any, Dict, Optional

import numpy as np
import torch
from torch import Tensor

from mmkd.errors import CheckpointError
from mmkd.weight_names import EXTRAS

#: Kinds of arrays that every torch takes, with their bytes.
ARRAYS = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'b1')


def tensors_in(value: Any) -> Dict[str, Tensor]:
    """Return the tensors in a dict by name, without what a Distiller learned.

    Args:
        value: What is anywhere in a file.
    """
    items = value.items() if isinstance(value, dict) else ()
    held = {
        key: _tensor(item)
        for key, item in items
        if isinstance(key, str) and not key.startswith(EXTRAS)
    }
    return {key: tensor for key, tensor in held.items() if tensor is not None}


def _tensor(item) -> Optional[Tensor]:
    """Return a tensor, or what detectron2 has in its place, an array; else None."""
    if isinstance(item, np.ndarray) and item.dtype.kind + str(item.itemsize) in ARRAYS:
        # In the order of this machine's bytes.
        return torch.from_numpy(item.astype(item.dtype.newbyteorder('=')))
    return item if isinstance(item, Tensor) else None


def check_tensors(path: str, weights: Dict[str, Tensor]) -> None:
    """Refuse tensors that no trained network has.

    Args:
        path (str): Of the file, for messages.
        weights (dict[str, Tensor]): By name.

    Raises:
        CheckpointError: One is not finite, sparse, quantised or without data.
    """
    for name, tensor in weights.items():
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_meta:
            kind = 'quantised' if tensor.is_quantized else f'{tensor.layout}'
            kind = 'without data (meta)' if tensor.is_meta else kind
            advice = 'save dense tensors of floating point'
        elif not _is_finite(tensor):
            kind, advice = 'not finite', 'take one from before the training broke down'
        else:
            continue
        raise CheckpointError(f'{path}: {name} is {kind}; {advice}.')


def _is_finite(tensor):
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if not tensor.is_floating_point():
        return True
    if tensor.dtype.itemsize == 1:
        tensor = tensor.float()  # nobody asks float8
    finite = tensor.isfinite()
    if finite.all():
        return True
    # A mask that is added before a softmax is minus infinity, or nothing.
    return bool((tensor[~finite] == -torch.inf).all() and (tensor[finite] == 0).all())
