"""CWD: where each channel is active."""

import torch
from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import flag, positive
from .kd_loss import kd_loss
from .levels import LossInputs

EPS = 1e-5  # batch norm's


def cwd_loss(student: Tensor, teacher: Tensor, tau: float = 1.0) -> Tensor:
    r"""Divergence of each channel's distribution over the pixels.

    .. math:: \frac{\tau^2}{N C} \sum_{n,c} KL(
        \mathrm{softmax}_{hw}(F^T_{nc} / \tau) \|
        \mathrm{softmax}_{hw}(F^S_{nc} / \tau))

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps of the same shape.
        tau (float): Temperature. Defaults to 1.0.

    Returns:
        Tensor: A scalar: summed over pixels, averaged over channels and samples.
    """
    # Each channel of each image is a row, whose classes are the pixels.
    rows = (maps.flatten(2).flatten(0, 1) for maps in (student, teacher))
    return kd_loss(*rows, tau)


def standardised(maps: Tensor) -> Tensor:
    """Return maps ``(N, C, H, W)`` as a batch norm without affine gives them.

    By the statistics of this batch, always: it keeps none.
    """
    var, mean = torch.var_mean(maps, dim=(0, 2, 3), correction=0, keepdim=True)
    return (maps - mean) * (var + EPS).rsqrt()


@MODELS.register_module()
class CWDLoss(DistillLoss):
    """`Channel-wise Knowledge Distillation for Dense Prediction
    <https://arxiv.org/abs/2011.13256>`_, see :func:`cwd_loss`.

    Of maps: of a neck, where an adapter is inferred if channels differ, or of the layer
    that puts out a dense head's logits. Levels are summed. Labels are not used.

    RTMDet's recipe compares what comes out of the neck's last convolutions, in front of
    their norm, with ``standardise=True`` and ``adapter=dict(type='ConvAdapter',
    bias=False)``, and stops before the end of training, where the augmentation is
    switched off: ``weight=dict(value=1.0, stop=280)``.

    Args:
        tau (float): Temperature. Defaults to 1.0.
        standardise (bool): Standardise the channels of both sides first, the student's
            after its adapter, see :func:`standardised`. Defaults to False.
    """

    ranks = (4,)
    sum_levels = True

    def __init__(self, tau: float = 1.0, standardise: bool = False) -> None:
        super().__init__()
        self.tau = positive('CWDLoss', 'tau', tau)
        self.standardise = flag('CWDLoss', 'standardise', standardise)

    def fit(self, inputs: LossInputs) -> None:
        """Refuse maps of a single pixel, in which nothing is anywhere else.

        The coarsest of several levels may have one.
        """
        super().fit(inputs)
        if all(shape[2:] == (1, 1) for shape in inputs.student):
            raise ConfigError(
                f'{inputs.where}: the maps have a single pixel, shape '
                f'{inputs.student[0]}, so that this loss, which says where a channel '
                'is active, learns nothing; compare an earlier module, or features '
                'with FitNetLoss.'
            )

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`cwd_loss`."""
        if self.standardise:
            student, teacher = standardised(student), standardised(teacher)
        return cwd_loss(student, teacher, self.tau)
