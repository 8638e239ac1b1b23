"""Adaptive explicit knowledge transfer, as this project reads it."""

import math
from typing import Dict, Tuple

from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .checks import not_all_zero, not_negative, positive
from .dkd_loss import decouple, divergence
from .labelled_loss import LabelledLoss, target_mask
from .levels import LossInputs


def aekt_rows(
    student: Tensor, teacher: Tensor, target: Tensor, tau: float, max_ratio: float
) -> Tuple[Tensor, Tensor]:
    r"""Explicit and implicit knowledge of each sample.

    .. math:: \tau^2 r_n KL(b^T_n \| b^S_n), \quad
        \tau^2 KL(\hat p^T_n \| \hat p^S_n), \quad
        r_n = \min(p^T_{n,y} / p^S_{n,y}, r_{max})

    where :math:`b = (p_y, 1 - p_y)` and :math:`\hat p` is the softmax over all classes
    but the target ``y``, all softened by ``tau``. The ratio carries no gradient: it is
    above 1 where the student has less confidence in the target than the teacher, below
    where it has more.

    This is a reading of the paper (mmkd). To put its own formula in, change this
    function; all else stays. From outside the package, override
    :meth:`AEKTLoss.knowledge`.

    Args:
        student (Tensor): Logits ``(N, K)``, after the serialisation layer.
        teacher (Tensor): Logits ``(N, K)``.
        target (Tensor): Labels ``(N,)``, int64.
        tau (float): Temperature.
        max_ratio (float): :math:`r_{max}`.

    Returns:
        tuple[Tensor, Tensor]: Explicit and implicit part, ``(N,)`` each, summed over
        classes.
    """
    is_target = target_mask(target, student.size(1))
    binary_student, rest_student = decouple(student / tau, is_target)
    binary_teacher, rest_teacher = decouple(teacher / tau, is_target)
    # Clipped before it leaves the log domain, where no ratio overflows.
    log_ratio = (binary_teacher - binary_student)[:, 0].detach()
    ratio = log_ratio.clamp(max=math.log(max_ratio)).exp()
    explicit = ratio * divergence(binary_student, binary_teacher)
    implicit = divergence(rest_student, rest_teacher)
    return explicit * tau**2, implicit * tau**2


@MODELS.register_module()
class AEKTLoss(LabelledLoss):
    r"""A reading (mmkd) of `Adaptive Explicit Knowledge Transfer for Knowledge
    Distillation <https://arxiv.org/abs/2409.01679>`_. The paper's own loss formula was
    not available: this is not the authors' loss, and its results need not be theirs.

    .. math:: \frac{1}{N} \sum_n \big[
        w_e \tau^2 r_n KL(b^T_n \| b^S_n) + w_i \tau^2 KL(\hat p^T_n \| \hat p^S_n)
        \big], \quad z'_n = A z^S_n + c

    with the parts of :func:`aekt_rows`, where the student's probabilities are those of
    the serialised logits :math:`z'`.

    Published are three ideas. The implicit knowledge, of the non-target classes, is
    learned adaptively: with :math:`\tau = 1` the gradient of its part at :math:`z'_i`,
    :math:`i \ne y`, is :math:`[p^S_i (1 - p^T_y) / (1 - p^S_y) - p^T_i] / (1 - p^T_y)`,
    with the ratio of both sides' non-target masses. The explicit knowledge, the
    teacher's confidence in the target, is added, weighted by a ratio of teacher and
    student. A fully connected layer between the student's logits and the distillation
    separates the latter from classification (task serialisation).

    Of this project (mmkd) are the two divergences and their sum, the ratio without
    gradient and its clip, the temperature, all defaults, and the layer's shape and
    start: ``A`` is ``K x K``, one for all levels, and starts as the identity with
    ``c = 0``. It is trained with the student and saved for resuming. The cross-entropy
    and inference use the student's logits as they are, and the exported student comes
    without it. Weight decay draws ``A`` towards zero, as any weight, not towards the
    identity; to spare it,
    ``paramwise_cfg=dict(custom_keys={'distill.loss_aekt': dict(decay_mult=0)})``.

    It needs one true class a sample. With the soft labels of Mixup or CutMix it is an
    error unless ``soft_targets='argmax'`` says that the dominant class is meant.

    Args:
        tau (float): Temperature. Defaults to 4.0.
        explicit_weight (float): :math:`w_e`; 0 leaves the part out. Defaults to 0.1.
        implicit_weight (float): :math:`w_i`; 0 leaves the part out. Defaults to 1.0.
        max_ratio (float): Clip of the ratio, at least 1, the ratio of equal
            predictions. Defaults to 5.0.
        soft_targets (str): ``'error'`` or ``'argmax'``. Defaults to ``'error'``.

    Raises:
        ConfigError: Both weights are 0, or ``max_ratio`` is below 1.
    """

    def __init__(
        self,
        tau: float = 4.0,
        explicit_weight: float = 0.1,
        implicit_weight: float = 1.0,
        max_ratio: float = 5.0,
        soft_targets: str = 'error',
    ) -> None:
        super().__init__(soft_targets)
        self.tau = positive('AEKTLoss', 'tau', tau)
        self.weights = dict(
            explicit=not_negative('AEKTLoss', 'explicit_weight', explicit_weight),
            implicit=not_negative('AEKTLoss', 'implicit_weight', implicit_weight),
        )
        not_all_zero(
            'AEKTLoss',
            explicit_weight=explicit_weight,
            implicit_weight=implicit_weight,
        )
        # Of two classes the implicit part has one that is not the target.
        self.least_columns = 2 if explicit_weight else 3
        if positive('AEKTLoss', 'max_ratio', max_ratio) < 1:
            raise ConfigError(
                f'AEKTLoss: max_ratio must be at least 1, got {max_ratio!r}; to weaken '
                'the explicit part, lower explicit_weight.'
            )
        self.max_ratio = max_ratio

    def fit(self, inputs: LossInputs) -> None:
        """Make the serialisation layer.

        Raises:
            ConfigError: Levels have different numbers of classes.
        """
        super().fit(inputs)
        classes = [shape[1] for shape in inputs.student]
        if len(set(classes)) > 1:
            raise ConfigError(
                f'{inputs.where}: AEKTLoss has one serialisation layer for all levels, '
                f'but got {classes} classes; compare levels of the same classes.'
            )
        self.layer = nn.Linear(classes[0], classes[0])
        nn.init.eye_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def compare(
        self, student: Tensor, teacher: Tensor, target: Tensor
    ) -> Dict[str, Tensor]:
        """Serialise the student's logits; return both parts, weighted."""
        target = self.classes(target)
        rows = self.knowledge(self.layer(student), teacher, target)
        parts = zip(self.weights.items(), rows)
        return {name: weight * row.mean() for (name, weight), row in parts}

    def knowledge(
        self, student: Tensor, teacher: Tensor, target: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """See :func:`aekt_rows`; another formula can take its place in a subclass."""
        return aekt_rows(student, teacher, target, self.tau, self.max_ratio)
