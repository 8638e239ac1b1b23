"""Multi-scale deformable attention (https://arxiv.org/abs/2010.04159).

mmcv falls back to its own PyTorch version on a CPU, but not on a GPU
(``mmcv/ops/multi_scale_deform_attn.py``): this is that version for both.
"""

import torch
from torch import Tensor

from mmkd.compat.mmcv_ops.common import working_dtype


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Attention output in shape (B, Q, H * C).

    Args:
        value: In shape (B, sum of all levels' pixels, H, C).
        spatial_shapes: Height and width of each level in shape (L, 2).
        level_start_index: First pixel of each level; follows from the shapes.
        sampling_locations: Relative x, y in shape (B, Q, H, L, P, 2).
        attention_weights: In shape (B, Q, H, L, P).
        im2col_step: Batch split of the CUDA kernel; of no effect here.
    """
    # Imported here: that module asks for the extension which this is part of.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    dtype = working_dtype(value)
    return multi_scale_deformable_attn_pytorch(
        value.to(dtype),
        spatial_shapes.tolist(),
        sampling_locations.to(dtype),
        attention_weights.to(dtype),
    ).to(value)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Gradients of the forward pass, into the three ``grad_*`` tensors."""
    inputs = [
        tensor.detach().requires_grad_()
        for tensor in (value, sampling_locations, attention_weights)
    ]
    with torch.enable_grad():
        output = ms_deform_attn_forward(
            inputs[0],
            spatial_shapes,
            level_start_index,
            *inputs[1:],
            im2col_step=im2col_step,
        )
    gradients = torch.autograd.grad(output, inputs, grad_output)
    for target, gradient in zip(
        (grad_value, grad_sampling_loc, grad_attn_weight), gradients
    ):
        target.copy_(gradient)
