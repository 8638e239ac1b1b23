"""LAKD: parts of the student that learn on their own, guided by activation maps."""

from typing import Dict, Optional, Sequence, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from ..adapters import ConvAdapter
from .at_loss import pool_to_smaller
from .base import DistillLoss
from .checks import not_all_zero, not_negative, whole
from .levels import LossInputs
from .numerics import full_precision, promoted
from .parts.local_learning import LocalLearning
from .parts.token_maps import as_map, map_shape


def activation_map(
    maps: Tensor, average: float = 1.0, maximum: float = 1.0, size: int = 2
) -> Tensor:
    r"""Where a map is active, coarsely and whichever channels are.

    .. math:: W = a \cdot \mathrm{avgpool}\Big(\sum_c F_c\Big)
        + b \cdot \mathrm{maxpool}\Big(\sum_c F_c\Big)

    Args:
        maps (Tensor): Maps ``(N, C, H, W)``.
        average (float): :math:`a`. Defaults to 1.0.
        maximum (float): :math:`b`. Defaults to 1.0.
        size (int): Side of the windows, which do not overlap; at most the map's.
            Defaults to 2 (mmkd).

    Returns:
        Tensor: ``(N, H // size, W // size)``.
    """
    total = maps.sum(dim=1, keepdim=True)
    window = [min(size, side) for side in maps.shape[2:]]
    pooled = average * F.avg_pool2d(total, window)
    return (pooled + maximum * F.max_pool2d(total, window)).squeeze(1)


def attention_loss(
    student: Tensor, teacher: Tensor, average: float, maximum: float, size: int
) -> Tensor:
    r"""Squared distance of normalised activation maps.

    .. math:: \frac{1}{N} \sum_n \Big\| \frac{W^S_n}{\|W^S_n\|_2}
        - \frac{W^T_n}{\|W^T_n\|_2} \Big\|_2^2

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps ``(N, C', H, W)``.
        average (float): See :func:`activation_map`.
        maximum (float): See :func:`activation_map`.
        size (int): See :func:`activation_map`.

    Returns:
        Tensor: A scalar: summed over places, averaged over samples.
    """
    student, teacher = (
        F.normalize(activation_map(maps, average, maximum, size).flatten(1))
        for maps in (student, teacher)
    )
    return (student - teacher).square().sum(dim=1).mean()


@MODELS.register_module()
class LAKDLoss(DistillLoss):
    r"""`LAKD: Activation Mapping Distillation Based on Local Learning
    <https://arxiv.org/abs/2408.11478>`_, as this project reads it (mmkd):
    neither its code nor all of its formulas are at hand.

    .. math:: w_{att} \sum_l \mathrm{attention}(F^S_l, F^T_l)
        + w_{local} \sum_l \mathrm{mean}\, |A_l F^S_l - F^T_l|^2

    The modules in ``on=``, from shallow to deep, are compared, and the student is cut
    behind each but the last: the gradient of what comes after does not pass, so every
    part up to a cut learns from its own terms alone, and the cross-entropy trains the
    last part and the head. No value of the forward pass changes, and a part's
    activations are freed before the next one begins. Nothing may go round a cut, see
    :class:`.local_learning.LocalLearning`.

    The published total is :math:`\alpha L_{hard} + (1 - \alpha) L_{att} + \beta
    L_{local}`: give the cross-entropy the weight :math:`\alpha`, and
    ``attention_weight`` :math:`1 - \alpha`.

    Published is what is above, of one map :math:`W`, see :func:`activation_map`.
    (mmkd): stages as parts; :math:`A_l`, a 1x1 convolution that its part owns, where
    channels differ; the distance of the maps (:func:`attention_loss`); the sum over
    parts; the weights. Of two sizes the larger map is average-pooled to the smaller.
    Tokens ``(N, L, C)`` of ViT and Swin are taken as maps. Labels are not used.

    Args:
        attention_weight (float): :math:`w_{att}`. Defaults to 0.1.
        local_weight (float): :math:`w_{local}`. Defaults to 10.0.
        average (float): Of the average in the activation map. Defaults to 1.0.
        maximum (float): Of the maximum in it. Defaults to 1.0.
        pool_size (int): Side of the windows in it. Defaults to 2.
        cuts (Sequence[str], optional): The student's modules to cut behind, among
            those in ``on=``; ``[]`` cuts nowhere. Defaults to all but the last.

    Raises:
        ConfigError: What is compared are no maps, or an argument is out of its range.
    """

    adapts = False

    def __init__(
        self,
        attention_weight: float = 0.1,
        local_weight: float = 10.0,
        average: float = 1.0,
        maximum: float = 1.0,
        pool_size: int = 2,
        cuts: Optional[Sequence[str]] = None,
    ) -> None:
        super().__init__()
        values = dict(
            attention_weight=attention_weight,
            local_weight=local_weight,
            average=average,
            maximum=maximum,
        )
        for name, value in values.items():
            not_negative('LAKDLoss', name, value)
        not_all_zero('LAKDLoss', average=average, maximum=maximum)
        not_all_zero(
            'LAKDLoss', attention_weight=attention_weight, local_weight=local_weight
        )
        self.attention_weight = attention_weight
        self.local_weight = local_weight
        self.average = average
        self.maximum = maximum
        self.pool_size = whole('LAKDLoss', 'pool_size', pool_size)
        self.cuts = cuts
        self.adapters = nn.ModuleList()
        self._outputs: Tuple[Sequence[str], Sequence[str]] = (), ()
        self._where = type(self).__name__
        self._learned: Dict[int, Tensor] = {}
        self._terms: Dict[int, Tuple[Tensor, Tensor]] = {}

    def fit(self, inputs: LossInputs) -> None:
        """Cut behind all modules but the last; make each part's adapter."""
        super().fit(inputs)
        outputs = inputs.student_outputs
        if outputs and len(inputs.student) != len(outputs):
            raise ConfigError(
                f'{inputs.where}: {len(outputs)} modules put out '
                f'{len(inputs.student)} maps, but each part of the student has one; '
                'name modules that put out one map, such as the stages of a backbone.'
            )
        if self.cuts is None:
            self.cuts = list(outputs[:-1])
        if not isinstance(self.cuts, (list, tuple)) or set(self.cuts) - set(outputs):
            raise ConfigError(
                f'{inputs.where}: cuts must be a list of modules in on=, got '
                f'{self.cuts!r}; choose among {", ".join(outputs)}.'
            )
        self._where = inputs.where
        self._outputs = outputs, inputs.teacher_outputs
        for shapes in zip(inputs.student, inputs.teacher):
            channels = [map_shape(shape, inputs.where)[1] for shape in shapes]
            same = channels[0] == channels[1]
            self.adapters.append(nn.Identity() if same else ConvAdapter(*channels))

    def around(self, student, teacher, adapters) -> LocalLearning:
        """Cut the student, and let each part up to a cut learn at once."""

        def part(level, tensor):
            answer = teacher[self._outputs[1][level]].outputs()[0]
            return self.part(level, adapters.adapt(level, tensor), answer)

        own = [*adapters.parameters(), *self.parameters()]
        local = LocalLearning(
            self.cuts, self._outputs[0], part, own, student, self._where
        )
        self._terms.clear()
        self._learned = local.known
        return local

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence,
    ) -> Tensor:
        """Return the loss of all parts, see the class; of those that have not learned
        yet from what is given.
        """
        values, self._learned = dict(self._learned), {}
        for level, sides in enumerate(zip(student, teacher)):
            if level not in values:
                values[level] = self.part(level, *sides)
        attention, local = (sum(terms) for terms in zip(*self._terms.values()))
        self._terms.clear()
        self.parts = dict(attention=attention, local=local)
        return sum(values.values())

    def extra_repr(self) -> str:
        """Say where the student is cut."""
        if not self.cuts:
            return ''
        return (
            f'ends the gradient behind {", ".join(self.cuts)}: what comes after does '
            'not train what is before'
        )

    def part(self, level: int, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the loss of one part, a scalar.

        Args:
            level (int): Which, from 0.
            student (Tensor): What it puts out.
            teacher (Tensor): What the teacher does there.
        """
        with full_precision(student.device):
            student, teacher = pool_to_smaller(
                as_map(promoted(student)), as_map(promoted(teacher))
            )
            attention = self.attention_weight * attention_loss(
                student, teacher, self.average, self.maximum, self.pool_size
            )
            adapted = self.adapters[level](student)
            local = self.local_weight * F.mse_loss(adapted, teacher)
        self._terms[level] = attention.detach(), local.detach()
        return attention + local
