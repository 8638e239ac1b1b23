"""MGD: the teacher's features out of masked ones of the student."""

from typing import Callable

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import one_of, positive, share
from .levels import LossInputs

#: What is hidden together, by the axes of a mask that go through the map.
MASKS = dict(pixel=(0, 2, 3), channel=(0, 1))


def mgd_loss(
    student: Tensor, teacher: Tensor, mask: Tensor, generate: Callable
) -> Tensor:
    r"""Squared error of what is generated from masked maps.

    .. math:: \frac{1}{N} \| G(m \odot F^S) - F^T \|_2^2

    Not divided by channels and pixels, so a weight belongs to one size of map.

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps of the same shape.
        mask (Tensor): What to keep, 1 or 0, of a shape that fits the maps.
        generate (Callable): ``G``, from maps to maps of the same shape.

    Returns:
        Tensor: A scalar: summed over channels and pixels, averaged over samples.
    """
    return (generate(student * mask) - teacher).square().sum() / len(teacher)


def draw_mask(maps: Tensor, masked: float, mask: str = 'pixel') -> Tensor:
    """Draw which pixels, or which channels, of each image are kept.

    Args:
        maps (Tensor): ``(N, C, H, W)``.
        masked (float): Probability of being hidden.
        mask (str): ``'pixel'`` or ``'channel'``. Defaults to ``'pixel'``.

    Returns:
        Tensor: 1 or 0, ``(N, 1, H, W)`` or ``(N, C, 1, 1)``.
    """
    shape = [size if axis in MASKS[mask] else 1 for axis, size in enumerate(maps.shape)]
    return (torch.rand(shape, device=maps.device) >= masked).to(maps.dtype)


@MODELS.register_module()
class MGDLoss(DistillLoss):
    r"""`Masked Generative Distillation <https://arxiv.org/abs/2205.01529>`_:
    :func:`mgd_loss` times :math:`\alpha`.

    Of each level a part of the student's map is hidden (:func:`draw_mask`), anew in
    each step, and a generator of its own, two 3x3 convolutions with a ReLU between
    them, is trained to give the teacher's. An adapter is inferred where channels
    differ. Levels are summed. Labels are not used. In a Distiller the random numbers
    are those of its losses: the student's training sees the same ones without.

    The authors take the maps of an FPN's last convolutions
    (``neck.fpn_convs.0.conv``, ...), and clip gradients to a norm of 35:

    ==================  =============  ==========  =============
    student             ``alpha``      ``masked``  ``mask``
    ==================  =============  ==========  =============
    one-stage detector  2e-5           0.65        ``'pixel'``
    two-stage detector  5e-7           0.45        ``'pixel'``
    segmentation        2e-5           0.75        ``'pixel'``
    classifier          7e-5           0.15        ``'channel'``
    ==================  =============  ==========  =============

    Args:
        alpha (float): :math:`\alpha`. Defaults to 2e-5.
        masked (float): Share that is hidden, on average. Defaults to 0.65.
        mask (str): Hide ``'pixel'``, those of all channels together, or ``'channel'``,
            whole ones. Defaults to ``'pixel'``.
    """

    ranks = (4,)
    sum_levels = learns_by_level = True

    def __init__(
        self, alpha: float = 2e-5, masked: float = 0.65, mask: str = 'pixel'
    ) -> None:
        super().__init__()
        self.alpha = positive('MGDLoss', 'alpha', alpha)
        self.masked = share('MGDLoss', 'masked', masked)
        if masked == 1:
            raise ConfigError(
                'MGDLoss: masked=1 hides all of the student, which then learns nothing;'
                ' give a share below 1.'
            )
        self.mask = one_of('MGDLoss', 'mask', mask, tuple(MASKS))
        self.generators = nn.ModuleList()

    def fit(self, inputs: LossInputs) -> None:
        """Make the generators."""
        super().fit(inputs)
        self.generators = nn.ModuleList(_generator(c) for _, c, *_ in inputs.teacher)

    def compare_levels(self, student, teacher, targets) -> Tensor:
        """Give each level its generator."""
        return super().compare_levels(student, teacher, self.generators)

    def compare(self, student: Tensor, teacher: Tensor, generate: nn.Module) -> Tensor:
        """See :func:`mgd_loss`; the generator comes in the place of labels."""
        mask = draw_mask(student, self.masked, self.mask)
        return self.alpha * mgd_loss(student, teacher, mask, generate)


def _generator(channels):
    convs = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
    return nn.Sequential(next(convs), nn.ReLU(), next(convs))
