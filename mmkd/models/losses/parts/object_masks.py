"""Where on a map the objects are, for FGD."""

from typing import Sequence, Tuple

import torch
from torch import Tensor

from ..numerics import promoted


def object_masks(
    boxes: Sequence[Tensor], sizes: Sequence[Tuple[int, int]], size: Tuple[int, int]
) -> Tuple[Tensor, Tensor]:
    """Return weights of foreground and background of each image's cells.

    A box covers the cells from that of its upper left corner, rounded down, to that of
    its lower right one, rounded up, both included. Each of them weighs one over their
    number, so that a box weighs 1 however large it is, and less if a part of it lies
    beyond the map; where boxes overlap, the largest weight (that of the smallest box)
    counts. Cells that no box covers share a weight of 1.

    Nothing is read of the boxes, which may lie on a GPU.

    Args:
        boxes (Sequence[Tensor]): ``(G, 4)`` of each image, ``(x1, y1, x2, y2)``.
        sizes (Sequence[tuple[int, int]]): Height and width of what the map shows of
            each image, in pixels.
        size (tuple[int, int]): Height and width of the map.

    Returns:
        tuple[Tensor, Tensor]: Foreground and background, ``(N, H, W)`` each.
    """
    on_y, height = _span(boxes, sizes, size, axis=0)
    on_x, width = _span(boxes, sizes, size, axis=1)
    counts = [len(own) for own in boxes]
    # Image by image: each box as a map of its own takes memory.
    of_images = zip(*(of.split(counts) for of in (on_y, on_x, 1 / (height * width))))
    foreground = torch.stack([_largest(*each) for each in of_images])
    background = (foreground == 0).to(foreground.dtype)
    total = background.sum(dim=(1, 2), keepdim=True)
    return foreground, background / total.clamp(min=1)


def _span(boxes, sizes, size, axis):
    """Whether each box covers each row (axis 0) or column, and how many it covers."""
    length = size[axis]
    # First times, then divided: at the edge of a cell the result is exact.
    edges = [
        promoted(own)[:, 1 - axis :: 2] * length / image[axis]
        for own, image in zip(boxes, sizes)
    ]
    low, high = torch.cat(edges).unbind(dim=1)
    low, high = low.floor(), high.ceil()
    cells = torch.arange(length, device=low.device)
    covered = (low[:, None] <= cells) & (cells <= high[:, None])
    return covered, high - low + 1


def _largest(on_y, on_x, share):
    weight = torch.where(on_y[:, :, None] & on_x[:, None], share[:, None, None], 0.0)
    return weight.amax(dim=0) if len(weight) else weight.sum(dim=0)
