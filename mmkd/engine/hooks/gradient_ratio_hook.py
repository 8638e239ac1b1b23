"""How hard each loss pulls at the student."""

from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmkd.registry import HOOKS


@HOOKS.register_module()
class GradientRatioHook(Hook):
    """Logs each distillation loss's gradient against that of the student's losses.

    ``gradient_kd: 0.5`` says that the gradient of the weighted ``loss_kd`` with
    respect to all of the student's parameters is half as long as that of the
    student's own losses. Far from 1 the weight is worth a second thought. Such an
    iteration costs one more backward pass a loss, and one.

    Args:
        interval (int): Iterations between two measurements. Defaults to 200.
    """

    def __init__(self, interval: int = 200) -> None:
        self.interval = interval
        self._handle = None

    def before_train_iter(
        self, runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Listen to the model's losses in every ``interval``-th iteration."""
        if runner.iter % self.interval == 0:
            model = runner.model
            model = model.module if is_model_wrapper(model) else model
            self._handle = model.register_forward_hook(add_gradient_ratios)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Stop listening."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def add_gradient_ratios(model: nn.Module, args: tuple, losses: Dict[str, Tensor]):
    """Add the ratios to a Distiller's losses; a forward hook.

    Args:
        model (nn.Module): A Distiller.
        args (tuple): Its inputs; unused.
        losses (dict[str, Tensor]): What it put out.
    """
    names = [term.name for term in getattr(model, 'terms', [])]
    parameters = [p for p in model.student.parameters() if p.requires_grad]
    own = [
        sum(value) if isinstance(value, (list, tuple)) else value
        for key, value in losses.items()
        if 'loss' in key and key not in names
    ]
    base = _length(sum(own), parameters)
    for name in names:
        ratio = _length(losses[name], parameters) / base
        losses[name.replace('loss', 'gradient')] = ratio


def _length(loss, parameters):
    gradients = torch.autograd.grad(
        loss, parameters, retain_graph=True, allow_unused=True
    )
    squares = [g.float().square().sum() for g in gradients if g is not None]
    return sum(squares, loss.new_zeros(())).sqrt()
