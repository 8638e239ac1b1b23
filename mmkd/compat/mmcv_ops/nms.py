"""Non-maximum suppression, hard and soft."""

import numpy as np
import torch
import torchvision
from torch import Tensor

from mmkd.compat.mmcv_ops.common import working_dtype


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes, by descending score; ties go to the first box.

    Args:
        boxes: Corners x1, y1, x2, y2 in shape (N, 4).
        scores: In shape (N,).
        iou_threshold: A box that overlaps a better one by more than this is dropped.
        offset: 1 if corners are pixels of the box: a box from 0 to 9 is 10 wide.
    """
    dtype = working_dtype(boxes, scores)
    # Pixel corners become edges by moving the lower right one.
    edges = boxes + boxes.new_tensor([0, 0, offset, offset], dtype=dtype)
    return torchvision.ops.nms(edges, scores.to(dtype), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (https://arxiv.org/abs/1704.04503) of CPU tensors.

    Args:
        boxes: Corners x1, y1, x2, y2 in shape (N, 4).
        scores: In shape (N,).
        dets: Output in shape (N, 5); the kept boxes with their decayed scores are
            written to its first rows.
        iou_threshold: Overlap from which methods 0 and 1 decay a score.
        sigma: Width of method 2.
        min_score: A box whose decayed score falls below this is dropped.
        method: 0 sets overlapping boxes to zero, 1 decays linearly, 2 as a Gaussian.
        offset: As in :func:`nms`.

    Returns:
        Tensor: Indices of the kept boxes, in the order of ``dets``.
    """
    dtype = working_dtype(boxes, scores)
    corners = boxes.to(dtype).numpy()
    score = scores.to(dtype).numpy().copy()
    x1, y1, x2, y2 = corners.T
    area = (x2 - x1 + offset) * (y2 - y1 + offset)
    # The kept boxes, then the candidates in the order in which mmcv's C++ code would
    # hold them: that order decides between equal scores.
    order = np.arange(len(score))
    kept = 0
    while kept < len(order):
        best = kept + score[order[kept:]].argmax()
        order[[kept, best]] = order[[best, kept]]
        top, rest = order[kept], order[kept + 1 :]
        width = np.minimum(x2[top], x2[rest]) - np.maximum(x1[top], x1[rest]) + offset
        height = np.minimum(y2[top], y2[rest]) - np.maximum(y1[top], y1[rest]) + offset
        shared = width.clip(0) * height.clip(0)
        # Boxes without area do not overlap, where mmcv divides zero by zero.
        union = area[top] + area[rest] - shared
        iou = shared / np.maximum(union, np.finfo(union.dtype).tiny)
        if method == 2:
            score[rest] *= np.exp(-(iou**2) / sigma)
        else:
            score[rest] *= np.where(iou >= iou_threshold, (1 - iou) * method, 1)
        # Dropped candidates are replaced by the last ones.
        alive = score[rest] >= min_score
        count = alive.sum()
        gaps = np.flatnonzero(~alive[:count])
        rest[gaps] = rest[count + np.flatnonzero(alive[count:])[::-1]]
        kept += 1
        order = order[: kept + count]
    result = np.column_stack([corners[order], score[order]])
    dets[: len(order)] = torch.from_numpy(result).to(dets)
    return torch.from_numpy(order)
