"""Rows of all processes of a distributed run, which may have different numbers."""

from typing import List, Sequence

import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


def row_counts(rows: Tensor) -> List[int]:
    """Return how many rows each process has.

    All processes have to call it. Of several it waits for the device.

    Args:
        rows (Tensor): ``(N, ...)``, those of this process.
    """
    if get_world_size() == 1:
        return [len(rows)]
    count = torch.tensor([len(rows)], device=rows.device)
    return torch.cat(all_gather(count)).tolist()


def gather_rows(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """Return the rows of all processes, those of the first one first; no gradient.

    All processes have to call it, unless none has a row.

    Args:
        rows (Tensor): ``(N, ...)``, those of this process.
        counts (Sequence[int]): ``N`` of each, see :func:`row_counts`.
    """
    # A collective takes one shape of all.
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    return torch.cat([part[:n] for part, n in zip(all_gather(padded), counts)])
