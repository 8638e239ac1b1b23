"""The overhaul of feature distillation: what lies before the ReLU."""

import math
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from ..taps import find_module
from .base import DistillLoss
from .checks import network_of, same_channels
from .levels import LossInputs

#: Least probability of a negative response for which its mean is taken.
RARE = 1e-3


def ofd_loss(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    r"""Partial squared error to the teacher's responses after a margin ReLU.

    .. math:: \frac{1}{N} \sum_{n,c,h,w} [s > t \text{ or } t > 0] \, (s - t)^2,
        \quad t = \max(T, m_c)

    A student's response below a negative one of the teacher costs nothing: the ReLU
    takes both away. Where the maps' sizes differ, the teacher's is average-pooled to
    the student's first, as in re-implementations.

    Args:
        student (Tensor): Maps before activation ``(N, C, H, W)``.
        teacher (Tensor): Maps before activation ``(N, C, H', W')``.
        margin (Tensor): ``(C, 1, 1)``, not positive, see :func:`expected_negative`.

    Returns:
        Tensor: A scalar: summed over channels and pixels, averaged over samples.
    """
    if teacher.shape[2:] != student.shape[2:]:
        teacher = F.adaptive_avg_pool2d(teacher, student.shape[2:])
    target = torch.maximum(teacher, margin)
    gap = (student - target).masked_fill((student <= target) & (target <= 0), 0)
    return gap.square().sum() / len(gap)


def expected_negative(mean: Tensor, std: Tensor) -> Tensor:
    r"""Mean of the negative responses of channels that are normal.

    .. math:: m = E[x \mid x < 0]
        = \mu - |\sigma| \, \frac{\phi(\mu / \sigma)}{\Phi(-\mu / |\sigma|)}

    As in the authors' code it is :math:`-3 |\sigma|` where fewer than one response in a
    thousand is negative.

    Args:
        mean (Tensor): ``(C,)``: :math:`\mu`, a batch norm's bias.
        std (Tensor): ``(C,)``: :math:`\sigma`, its weight.

    Returns:
        Tensor: ``(C,)``, float64.
    """
    mean, std = mean.double(), std.double().abs()
    # Infinite or NaN for a channel of weight zero; what follows then is not.
    ratio = mean / std
    negative = torch.special.ndtr(-ratio)
    density = (-ratio.square() / 2).exp() / math.sqrt(2 * math.pi)
    return torch.where(negative > RARE, mean - std * density / negative, -3 * std)


@MODELS.register_module()
class OFDLoss(DistillLoss):
    """`A Comprehensive Overhaul of Feature Distillation
    <https://arxiv.org/abs/1904.01866>`_, see :func:`ofd_loss`.

    Both sides are maps before activation, from shallow to deep; the student's pass an
    adapter, ``adapter=dict(type='ConvNormAdapter')``. Levels are summed: the last
    counts once, the one before it half as much, and so on. The value is a sum over a
    whole map, so the authors' weight is 1e-3. Labels are not used.

    The margins are those of the teacher's batch norms, read when the model is built:
    it cannot be used alone, without a Distiller.

    Args:
        norms (Sequence[str], optional): The teacher's batch norms, one a level: the
            last one before each compared module, such as ``'backbone.layer1.8.bn2'``.
            By default the compared modules themselves, which then have to be batch
            norms.

    Raises:
        ConfigError: ``norms`` is no list of names.
    """

    ranks = (4,)
    adapts = False

    def __init__(self, norms: Optional[Sequence[str]] = None) -> None:
        super().__init__()
        is_list = isinstance(norms, (list, tuple))
        if norms is not None and not (
            is_list and all(isinstance(name, str) for name in norms)
        ):
            raise ConfigError(
                "OFDLoss: norms must be a list of names of the teacher's modules, or "
                f'None, got {norms!r}.'
            )
        self.norms = norms
        self._levels = 0

    def fit(self, inputs: LossInputs) -> None:
        """Read the margins off the teacher's batch norms.

        Raises:
            ConfigError: A batch norm is missing or of other channels, or the two sides
                are no maps of the same channels, or there is no network to read.
        """
        super().fit(inputs)
        network = network_of(inputs, 'the batch norms')
        same_channels(inputs, "dict(type='ConvNormAdapter')")
        names = inputs.teacher_outputs if self.norms is None else self.norms
        self._levels = len(inputs.teacher)
        if len(names) != self._levels:
            raise ConfigError(
                f'{inputs.where}: {self._levels} levels are compared; name as many '
                f'batch norms of the teacher in norms=, got {len(names)}.'
            )
        for level, (name, shape) in enumerate(zip(names, inputs.teacher)):
            norm = find_module(network, name, 'teacher')
            _check_norm(norm, name, shape[1], inputs.where)
            margin = expected_negative(norm.bias.detach(), norm.weight.detach())
            margin = margin.to(norm.bias.dtype)[:, None, None]
            # Not saved: they come with the teacher.
            self.register_buffer(f'margin{level}', margin, persistent=False)

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
    ) -> Tensor:
        """Sum over the levels, the shallower the less."""
        margins = [getattr(self, f'margin{level}') for level in range(self._levels)]
        values = list(map(self._compare_level, student, teacher, margins))
        return sum(value / 2**above for above, value in enumerate(reversed(values)))

    def compare(self, student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
        """See :func:`ofd_loss`; the margin comes in the place of labels."""
        return ofd_loss(student, teacher, margin)


def _check_norm(norm, name, channels, where):
    if not isinstance(norm, _BatchNorm) or not norm.affine:
        raise ConfigError(
            f"{where}: the teacher's {name!r} is a {type(norm).__name__}, no batch "
            'norm with weight and bias; name in norms=[...] the last batch norm before '
            'each compared module.'
        )
    if norm.num_features != channels:
        raise ConfigError(
            f"{where}: the teacher's batch norm {name!r} has {norm.num_features} "
            f'channels and the map that it stands for {channels}; name the last one '
            'before the compared module.'
        )
