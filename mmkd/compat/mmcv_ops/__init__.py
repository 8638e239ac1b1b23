"""mmcv's operators through torchvision's kernels and plain PyTorch.

Names, arguments and in-place outputs are those of mmcv's C++ interface
(https://github.com/open-mmlab/mmcv/blob/v2.1.0/mmcv/ops/csrc/pytorch/pybind.cpp);
``mmcv.ops`` wraps them in its own autograd functions. Half precision is computed in
float32. Delete this together with :mod:`mmkd.compat.mmcv_ext`.
"""

from mmkd.compat.mmcv_ops.common import missing
from mmkd.compat.mmcv_ops.deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from mmkd.compat.mmcv_ops.focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
)
from mmkd.compat.mmcv_ops.info import get_compiler_version, get_compiling_cuda_version
from mmkd.compat.mmcv_ops.ms_deform_attn import (
    ms_deform_attn_backward,
    ms_deform_attn_forward,
)
from mmkd.compat.mmcv_ops.nms import nms, softnms
from mmkd.compat.mmcv_ops.roi_align import roi_align_backward, roi_align_forward

#: What the stand-in offers, by the names that ``mmcv.ops`` asks for.
OPERATORS = {
    operator.__name__: operator
    for operator in (
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        deform_conv_forward,
        get_compiler_version,
        get_compiling_cuda_version,
        modulated_deform_conv_backward,
        modulated_deform_conv_forward,
        ms_deform_attn_backward,
        ms_deform_attn_forward,
        nms,
        roi_align_backward,
        roi_align_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softnms,
    )
}

__all__ = ['OPERATORS', 'missing']
