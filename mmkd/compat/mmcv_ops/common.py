"""What the operators share."""

import torch
from torch import Tensor


def missing(name: str) -> NotImplementedError:
    """The error of an operator that only the compiled mmcv has."""
    return NotImplementedError(
        f'mmcv operator {name!r} needs the compiled mmcv: run '
        '`pip uninstall mmcv-lite` and then `pip install "mmcv>=2.0.1,<2.2"` (or '
        '`pip install "mmkd[full]"`), which builds it from source; see '
        'https://mmcv.readthedocs.io/en/latest/get_started/build.html.'
    )


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype to compute in: float32, or float64 if a tensor is."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype
