"""UniKD: features and predictions as distributions of the predictions."""

from typing import Optional, Sequence, Tuple

from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import not_negative, one_of, positive, whole
from .kd_loss import kd_rows
from .levels import LossInputs
from .numerics import full_precision, promoted
from .parts.adaptive_fusion import AdaptiveFusion
from .parts.distribution_head import DistributionHead, draw, gaussian_divergence
from .parts.token_maps import as_map, map_shape

CONSTRAINTS = ('sampled', 'gaussian')


def unikd_rows(
    student: Tuple[Tensor, Tensor],
    teacher: Tuple[Tensor, Tensor],
    student_logits: Tensor,
    teacher_logits: Tensor,
    tau: float,
    constraint: str,
) -> Tuple[Tensor, Tensor]:
    r"""Constraint and agreement of each sample, for one prediction.

    .. math:: D(z^T \| z^S), \quad D(y^S \| z^S) + D(y^T \| z^T), \quad
        D(a \| b) = \tau^2 KL(\mathrm{softmax}(a / \tau) \| \mathrm{softmax}(b / \tau))

    where :math:`z = \mu + e^{\log \sigma^2 / 2} \epsilon` is drawn of either side, and
    ``y`` are the predictions. With ``constraint='gaussian'`` the first is
    :func:`gaussian_divergence` instead. Targets carry gradient too.

    Args:
        student (tuple[Tensor, Tensor]): Mean and log-variance ``(N, K)``.
        teacher (tuple[Tensor, Tensor]): Likewise.
        student_logits (Tensor): :math:`y^S`, ``(N, K)``.
        teacher_logits (Tensor): :math:`y^T`, ``(N, K)``.
        tau (float): Temperature.
        constraint (str): ``'sampled'`` or ``'gaussian'``.

    Returns:
        tuple[Tensor, Tensor]: Constraint and agreement, ``(N,)`` each.
    """
    z_student, z_teacher = draw(*student), draw(*teacher)
    agreement = kd_rows(z_student, student_logits, tau)
    agreement = agreement + kd_rows(z_teacher, teacher_logits, tau)
    if constraint == 'gaussian':
        return gaussian_divergence(*student, *teacher), agreement
    return kd_rows(z_student, z_teacher, tau), agreement


@MODELS.register_module()
class UniKDLoss(DistillLoss):
    r"""`Harmonizing knowledge Transfer in Neural Network with Unified Distillation
    <https://arxiv.org/abs/2409.18565>`_, without its DKD: features of both sides
    predict how the predictions are distributed.

    .. math:: \frac{1}{N} \sum_{n, j} \big[ \mathrm{constraint}_{n, j}
        + \lambda\, \mathrm{agreement}_{n, j} \big]

    with the parts of :func:`unikd_rows`, summed over the predictions ``j``. A
    :class:`.distribution_head.DistributionHead` of either side makes the Gaussians.
    The student's feature is its only map, or several fused by
    :class:`.adaptive_fusion.AdaptiveFusion`. All these are trained with the student and
    saved for resuming. Nothing but the teacher is without gradient: the student's
    logits learn as a target too, and the teacher's head from the constraint. Labels are
    not used. The authors' total has :class:`.DKDLoss` beside it, here a second entry of
    ``losses``.

    ``on=`` names of either side maps and then predictions: one map of the teacher, of
    the student those to be fused, from shallow to deep, and of both the same
    predictions. The student's last map may be a pooled feature ``(N, C)``, which counts
    as one pixel. Tokens ``(N, L, C)`` count as maps, see :func:`.token_maps.as_map`.

    The authors take all stages of a classifier and its pooled feature, and the
    teacher's first stage before activation::

        on=dict(
            student=['backbone.layer1', 'backbone.layer2', 'backbone.layer3',
                     'neck', 'head'],
            teacher=['backbone.layer1.preact', 'head'])

    Of detectors, with ``agreement=0.1``, rows of the head: the pooled maps that go into
    it and its predictions.

    The paper's own code is not known; this follows a public repository that is taken
    for its first author's. Of this project (mmkd) are the form for detectors, which
    could not be confirmed there; ``'gaussian'``, the paper's analytical form as it is
    read here, with the agreement still on draws; and the clamped log-variances.

    Args:
        constraint (str): ``'sampled'`` compares draws, ``'gaussian'`` the Gaussians in
            closed form. Defaults to ``'sampled'``.
        tau (float): Temperature. Defaults to 1.0.
        agreement (float): :math:`\lambda`. Defaults to 1.0.
        mid_channels (int): Channels in which maps are fused, at most: no more than the
            deepest level of the student has. Defaults to 512.
    """

    of_classes = True
    least_columns = 2
    adapts = False
    pairs_levels = False
    learns_by_level = True

    def __init__(
        self,
        constraint: str = 'sampled',
        tau: float = 1.0,
        agreement: float = 1.0,
        mid_channels: int = 512,
    ) -> None:
        super().__init__()
        self.constraint = one_of('UniKDLoss', 'constraint', constraint, CONSTRAINTS)
        self.tau = positive('UniKDLoss', 'tau', tau)
        self.agreement = not_negative('UniKDLoss', 'agreement', agreement)
        self.mid_channels = whole('UniKDLoss', 'mid_channels', mid_channels)
        self.fusion: Optional[AdaptiveFusion] = None

    def fit(self, inputs: LossInputs) -> None:
        """Make the fusion and the heads.

        Raises:
            ConfigError: Some side is not maps and then predictions, predictions differ
                in number or columns, or tokens fill no square.
        """
        super().fit(inputs)
        channels = [shape[1] for shape in _levels(inputs)]
        out_channels = map_shape(inputs.teacher[0], inputs.where)[1]
        columns = [shape[1] for shape in inputs.teacher[1:]]
        self.fusion = None
        if len(channels) > 1:
            mid_channels = min(self.mid_channels, channels[-1])
            self.fusion = AdaptiveFusion(channels, mid_channels, out_channels)
            channels = [out_channels]
        self.student_head = DistributionHead(channels[0], columns)
        self.teacher_head = DistributionHead(out_channels, columns)

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
    ) -> Tensor:
        """Average over samples and sum over predictions."""
        count = len(teacher) - 1
        with full_precision(student[0].device):
            student, teacher = (
                [promoted(level) for level in side] for side in (student, teacher)
            )
            levels, maps = list(map(_as_map, student[:-count])), as_map(teacher[0])
            fused = self.fusion(levels, maps.shape[2:]) if self.fusion else levels[0]
            predictions = zip(
                self.student_head(fused),
                self.teacher_head(maps),
                student[-count:],
                teacher[1:],
            )
            rows = [
                unikd_rows(*each, self.tau, self.constraint) for each in predictions
            ]
            # A sum over no sample, and so its gradient, is 0; a mean is not.
            samples = max(len(maps), 1)
            constraint, agreement = (sum(part).sum() / samples for part in zip(*rows))
            agreement = self.agreement * agreement
        self.parts = dict(constraint=constraint.detach(), agreement=agreement.detach())
        return constraint + agreement


def _levels(inputs):
    """Shapes of the student's maps, if all is as it should be."""
    student, teacher = inputs.student, inputs.teacher
    count = len(teacher) - 1
    ranks = [[len(shape) for shape in side] for side in (student, teacher)]
    if not 0 < count < len(student) or any(
        side[0] == 2 or set(side[-count:]) != {2} for side in ranks
    ):
        raise ConfigError(
            f'{inputs.where}: UniKD needs one map of the teacher and then its '
            'predictions (N, K), and maps of the student and then as many, got shapes '
            f"{student} and {teacher}; choose on=dict(student=[STAGES, 'head'], "
            "teacher=[STAGE, 'head']) of classifiers, or of detectors on=[POOLING, "
            'HEAD], what pools the maps of the objects and the head behind it.'
        )
    for (_, columns), (_, wanted) in zip(student[-count:], teacher[1:]):
        if columns != wanted:
            raise ConfigError(
                f'{inputs.where}: a prediction of the student has {columns} columns '
                f"and the teacher's {wanted}; choose the same predictions of both, of "
                'models of the same classes.'
            )
    return [
        (*shape, 1, 1) if len(shape) == 2 else map_shape(shape, inputs.where)
        for shape in student[:-count]
    ]


def _as_map(features):
    return features[:, :, None, None] if features.dim() == 2 else as_map(features)
