"""Sigmoid focal loss (https://arxiv.org/abs/1708.02002), element-wise.

With p the probability of the right answer to "is it class c?", the loss is
``-alpha (1 - p)^gamma log p`` for the target class and ``-(1 - alpha) ...`` for all
others. Two differences from the compiled operator: logarithms are exact, where mmcv's
saturate for logits beyond about 16; and the background, whose target is the number of
classes, has weight 1, where mmcv reads past the end of ``weight``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.compat.mmcv_ops.common import working_dtype


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Focal loss of each logit, into ``output``.

    Args:
        input: Logits in shape (N, C).
        target: Class indices in shape (N,); C means background.
        weight: Weight of each target class in shape (C,), or empty.
        output: In shape (N, C).
        gamma: Focusing exponent.
        alpha: Weight of the target class against all others.
    """
    _, logit, factor = _right_answers(input, target, weight, alpha)
    output.copy_(-factor * logit.neg().sigmoid() ** gamma * F.logsigmoid(logit))


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Gradient of the forward pass by ``input``, into ``grad_input``."""
    sign, logit, factor = _right_answers(input, target, weight, alpha)
    p, q = logit.sigmoid(), logit.neg().sigmoid()
    slope = -factor * q**gamma * (q - gamma * p * F.logsigmoid(logit))
    grad_input.copy_(sign * slope)


def _right_answers(
    input: Tensor, target: Tensor, weight: Tensor, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Sign that makes a logit that of the right answer; that logit; its weight."""
    classes = torch.arange(input.size(1), device=input.device)
    input = input.to(working_dtype(input))
    positive = (target[:, None] == classes).to(input)
    sign = 2 * positive - 1
    factor = alpha * positive + (1 - alpha) * (1 - positive)
    if weight.numel():
        with_background = F.pad(weight.to(input), (0, 1), value=1.0)
        factor = factor * with_background[target][:, None]
    return sign, sign * input, factor
