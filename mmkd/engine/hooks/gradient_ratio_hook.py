"""How hard each loss pulls at the student."""

from functools import partial
from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmkd.engine.bare_model import bare_model
from mmkd.errors import ConfigError
from mmkd.registry import HOOKS


@HOOKS.register_module()
class GradientRatioHook(Hook):
    """Logs each distillation loss's gradient against that of the student's losses.

    ``gradient_kd: 0.5`` says that the gradient of the weighted ``loss_kd`` with
    respect to all of the student's parameters is half as long as that of the
    student's own losses. Far from 1 the weight is worth a second thought. A loss that
    is over logs 0; where the student's own losses have no gradient there is no ratio
    and no entry. Such an iteration costs one more backward pass a loss, and one.
    A model without distillation losses trains as without the hook.

    Args:
        interval (int): Iterations between two measurements. Defaults to 200.

    Raises:
        ConfigError: See :func:`add_gradient_ratios`.
    """

    def __init__(self, interval: int = 200) -> None:
        self.interval = interval
        self._handle = None

    def before_train_iter(
        self, runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Listen to the model's losses in every ``interval``-th iteration."""
        if runner.iter % self.interval == 0:
            # Of AmpOptimWrapper: float16 rounds small gradients to 0 without it.
            scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
            scale = 1.0 if scaler is None else scaler.get_scale()
            listen = partial(add_gradient_ratios, scale=scale)
            self._handle = bare_model(runner).register_forward_hook(listen)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Stop listening."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def add_gradient_ratios(
    model: nn.Module, args: tuple, losses: Dict[str, Tensor], scale: float = 1.0
) -> None:
    """Add the ratios to a Distiller's losses; a forward hook.

    A ratio that is no number, as where the student's own losses have no gradient, is
    left out.

    Args:
        model (nn.Module): A Distiller; of other models nothing is measured.
        args (tuple): Its inputs; unused.
        losses (dict[str, Tensor]): What it put out; anything but a dict is left alone.
        scale (float): Factor of the losses while their gradients are computed.
            Defaults to 1.0.

    Raises:
        ConfigError: The student computes its activations again in the backward pass.
    """
    terms = [term.name for term in getattr(model, 'terms', ())]
    measured = [name for name in terms if isinstance(losses, dict) and name in losses]
    student = getattr(model, 'student', model)
    parameters = [p for p in student.parameters() if p.requires_grad]
    if not measured or not parameters:
        return
    own = {k: v for k, v in losses.items() if 'loss' in k and k not in terms}
    base = _length(model.parse_losses(own)[0], parameters, scale)
    for name in measured:
        total = model.parse_losses({name: losses[name]})[0]
        ratio = _length(total, parameters, scale) / base
        if ratio.isfinite():
            losses[name.replace('loss', 'gradient')] = ratio


def _length(total, parameters, scale):
    """Length of a gradient; ``total`` is as MMEngine adds up, 0 for no loss at all."""
    zero = parameters[0].new_zeros((), dtype=torch.float32)
    if not isinstance(total, Tensor) or not total.requires_grad:
        return zero
    try:
        gradients = torch.autograd.grad(
            total,
            parameters,
            torch.full_like(total, scale),
            retain_graph=True,
            allow_unused=True,
        )
    except RuntimeError as error:
        if 'use_reentrant' not in str(error):
            raise
        raise ConfigError(
            'GradientRatioHook: the student computes activations again in the backward '
            'pass (with_cp or activation_checkpointing), where torch cannot give the '
            'gradient of one loss; measure without that, or take the hook out.'
        ) from error
    squares = (g.float().square().sum() for g in gradients if g is not None)
    return sum(squares, zero).sqrt() / scale
