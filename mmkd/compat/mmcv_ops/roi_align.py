"""RoIAlign in its average mode; torchvision has no other and mmdet uses no other."""

import torch
from torch import Tensor

from mmkd.compat.mmcv_ops.common import missing, working_dtype


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign of (N, C, H, W) at (R, 5) RoIs, into ``output``.

    The arguments are those of :func:`torchvision.ops.roi_align`; ``argmax_*`` belong
    to the maximum mode. The output of a RoI that is not finite is NaN.

    Raises:
        NotImplementedError: For ``pool_mode='max'``.
    """
    if pool_mode == 0:
        raise missing('roi_align_forward(pool_mode="max")')
    dtype = working_dtype(input)
    output.copy_(
        torch.ops.torchvision.roi_align(
            input.to(dtype),
            _finite(rois.to(dtype)),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )
    lost = ~rois.isfinite().all(1)
    output.masked_fill_(lost[:, None, None, None], torch.nan)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` by its input, into ``grad_input``."""
    dtype = working_dtype(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output.to(dtype),
            _finite(rois.to(dtype)),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def _finite(rois: Tensor) -> Tensor:
    """At others, torchvision's kernels read anywhere in memory."""
    return rois.where(rois.isfinite().all(1, keepdim=True), 0)
