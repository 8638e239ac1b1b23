"""Deformable convolution, plain and modulated, through torchvision's kernels.

Of https://arxiv.org/abs/1703.06211 and https://arxiv.org/abs/1811.11168. For N images,
G deformable groups and a kernel of K = height * width taps:

- ``input`` is (N, C, H, W), ``weight`` (C', C / ``group``, height, width), the output
  (N, C', H', W') and ``bias`` (C',);
- ``offset`` is (N, G * K * 2, H', W'), of each tap y before x, in pixels;
- ``mask``, a factor of each sample, is (N, G * K, H', W').

mmcv's buffers ``columns`` and ``ones`` and its split of a batch, ``im2col_step``, are
of no effect. Gradients are added to those of ``input``, ``weight`` and ``bias`` and
replace those of ``offset`` and ``mask``, as mmcv's do. Where an offset is NaN, so is
the output.
"""

import weakref
from typing import Optional

import torch
from torch import Tensor

from mmkd.compat.mmcv_ops.common import working_dtype

#: In pixels, beyond every image, and finite in float32.
FAR = 1e30


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """The plain convolution, into ``output``."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    _forward(output, input, weight, offset, None, None, geometry)


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Its gradients by ``input`` and ``offset``, into ``gradInput``, ``gradOffset``."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    gradients = _backward(gradOutput, input, weight, offset, None, None, geometry)
    gradInput.add_(gradients[0])
    gradOffset.copy_(gradients[2])
    # torchvision computes all gradients at once. mmcv asks for that of the weight next,
    # with the same two tensors.
    gradient = (weakref.ref(gradOutput), gradOutput._version, gradients[1])
    columns.weight_gradient = gradient


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Its gradient by the weight, times ``scale``, into ``gradWeight``."""
    known = vars(columns).pop('weight_gradient', None)
    if known and known[0]() is gradOutput and known[1] == gradOutput._version:
        gradient = known[2]
    else:
        # It depends on the weight's shape only.
        tensors = (gradOutput, input, gradWeight, offset, None, None)
        steps = (dH, dW, padH, padW, dilationH, dilationW)
        gradient = _backward(*tensors, (*steps, group, deformable_group))[1]
    gradWeight.add_(gradient, alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """The modulated convolution, into ``output``; ``bias`` may be empty."""
    steps = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    geometry = (*steps, group, deformable_group)
    bias = bias if with_bias else None
    _forward(output, input, weight, offset, mask, bias, geometry)


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Its gradients, into the five ``grad_*`` tensors."""
    steps = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    geometry = (*steps, group, deformable_group)
    gradients = _backward(grad_output, input, weight, offset, mask, None, geometry)
    grad_input.add_(gradients[0])
    grad_weight.add_(gradients[1])
    grad_offset.copy_(gradients[2])
    grad_mask.copy_(gradients[3])
    if with_bias:
        grad_bias.add_(gradients[4])


def _forward(output, input, weight, offset, mask, bias, geometry):
    arguments = _arguments(input, weight, offset, mask, bias, geometry)
    output.copy_(torch.ops.torchvision.deform_conv2d(*arguments))
    output.masked_fill_(offset.isnan().any(1, keepdim=True), torch.nan)


def _backward(grad_output, input, weight, offset, mask, bias, geometry):
    """Gradients by input, weight, offset, mask and bias."""
    arguments = _arguments(input, weight, offset, mask, bias, geometry)
    # The kernel's products would be taken in half precision.
    with torch.autocast(input.device.type, enabled=False):
        gradients = torch.ops.torchvision._deform_conv2d_backward(
            grad_output.to(arguments[0]), *arguments
        )
    edge = _on_the_edge(arguments[2], weight.shape[2:], geometry)
    gradients[2].masked_fill_(edge, 0)
    return gradients


def _arguments(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Optional[Tensor],
    bias: Optional[Tensor],
    geometry: tuple,
) -> tuple:
    """What torchvision's kernels want, which have no optional tensors."""
    modulated = mask is not None
    mask = mask if modulated else input.new_zeros(len(input), 1)
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    dtype = working_dtype(input, weight, offset)
    # The kernels read anywhere in memory at NaN, so that is far outside of the image.
    offset = offset.to(dtype).nan_to_num(-FAR, FAR, -FAR)
    tensors = [t.to(dtype) for t in (input, weight, offset, mask, bias)]
    return (*tensors, *geometry, modulated)


def _on_the_edge(offset: Tensor, kernel_size: tuple, geometry: tuple) -> Tensor:
    """Where a coordinate is exactly -1, at which a sample fades to 0.

    There mmcv takes the slope from outside, 0, and torchvision that from inside. All
    offsets are 0 when training starts, so with padding the whole border is there.
    """
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w = geometry[:6]
    height, width = kernel_size

    def positions(taps, dilation, count, stride, pad):
        tap = torch.arange(taps, device=offset.device) * dilation
        return tap[:, None] + torch.arange(count, device=offset.device) * stride - pad

    y = positions(height, dilation_h, offset.size(2), stride_h, pad_h)
    x = positions(width, dilation_w, offset.size(3), stride_w, pad_w)
    grid = torch.broadcast_tensors(y[:, None, :, None], x[None, :, None, :])
    grid = torch.stack(grid, dim=2).flatten(0, 2)
    return (offset.unflatten(1, (-1, len(grid))) + grid == -1).flatten(1, 2)
