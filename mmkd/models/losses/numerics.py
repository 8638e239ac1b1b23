"""Numerics that losses share."""

import torch
from torch import Tensor


def mean_of(rows: Tensor) -> Tensor:
    """Return the mean of values; of none a zero that is part of the graph."""
    return rows.mean() if rows.numel() else rows.sum()


def full_precision(device: torch.device) -> torch.autocast:
    """Switch autocast off on a device."""
    return torch.autocast(device.type, enabled=False)


def promoted(tensor: Tensor) -> Tensor:
    """Return half precision as float32, anything else as it is."""
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if half else tensor
