"""Scale decoupled distillation: a logit loss on the cells of an image."""

from typing import Dict, Optional

import torch
from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .checks import positive
from .labelled_loss import check_soft_targets, hard_labels
from .levels import LossInputs
from .numerics import mean_of
from .wrapping_loss import WrappingLoss


def consistent_cells(teacher: Tensor, target: Tensor) -> Tensor:
    r"""Say in which cells the teacher is as right, or wrong, as on the whole image.

    .. math:: c_{nm} = [\arg\max_k z^T_{nkm} = y_n], \quad c_{nm} = c_{n1}

    The paper compares the classes of the cell and of the image; this is the released
    code.

    Args:
        teacher (Tensor): Logits ``(N, K, M)``, the first cell being the whole image.
        target (Tensor): Labels ``(N,)``.

    Returns:
        Tensor: Booleans ``(N, M)``, true in the first column.
    """
    right = teacher.argmax(dim=1) == target[:, None]
    return right == right[:, :1]


@MODELS.register_module()
class SDDLoss(WrappingLoss):
    r"""`Scale Decoupled Distillation <https://arxiv.org/abs/2403.13512>`_: a loss of
    logits, on the logits of cells at several scales.

    .. math:: \frac{1}{N M} \sum_{n,m} w_{nm}\, D(z^S_{nm}, z^T_{nm}, y_n), \quad
        w_{nm} = 1 \text{ where } c_{nm} = c_{n1}, \text{ else } \beta

    with :math:`c` of :func:`consistent_cells`. As in the released code it is averaged
    over the cells, where the paper writes a sum. With the scale 1 alone, pooled
    directly, it is the loss inside, bit for bit.

    It compares ``on='cells.logits'``, or ``on=dict(pairing='cells.logits',
    scales=[1, 2])``: the paper takes 1 and 2 for networks of one family and 1, 2 and 4
    for others. The log has the part of the consistent cells, and that of the
    complementary ones, with their :math:`\beta`; they add up to the loss. In detectors
    (mmkd) a sample is an object, and its cells are those of the map that is pooled of
    it.

    Around :class:`LumiNetLoss` the statistics run over the batch, cell by cell (mmkd).

    Args:
        loss (dict, optional): Type and arguments of the loss inside, one that has a
            value for each sample: KDLoss, DKDLoss, NKDLoss, LumiNetLoss, or LSKDLoss
            around these. Defaults to ``dict(type='KDLoss', tau=4.0)``.
        beta (float): Weight of complementary cells. Defaults to 2.0.
        soft_targets (str): Under Mixup and CutMix: ``'error'``, or ``'argmax'``, the
            dominant class. Defaults to ``'error'``.

    Raises:
        ConfigError: The loss inside cannot be built, or has no value for each sample.
    """

    ranks = (3,)

    def __init__(
        self,
        loss: Optional[dict] = None,
        beta: float = 2.0,
        soft_targets: str = 'error',
    ) -> None:
        super().__init__(loss, dict(type='KDLoss', tau=4.0))
        # Labels are all that a loss of rows can need, and here it gets hard ones.
        self.needs = check_soft_targets('SDDLoss', soft_targets)
        if not self.loss.weighs_rows:
            raise ConfigError(
                f'SDDLoss: {type(self.loss).__name__} has no value for each sample '
                'to weight; choose KDLoss, DKDLoss, NKDLoss, LumiNetLoss, or '
                'a loss with a method rows.'
            )
        self.beta = positive('SDDLoss', 'beta', beta)

    def fit(self, inputs: LossInputs) -> None:
        """Check that logits of cells are compared, then fit the loss inside to one."""
        super().fit(inputs)
        student, teacher = (
            [shape[:2] for shape in side] for side in (inputs.student, inputs.teacher)
        )
        self.loss.fit(inputs._replace(student=student, teacher=teacher))

    def compare(
        self, student: Tensor, teacher: Tensor, target: Tensor
    ) -> Dict[str, Tensor]:
        """Return what consistent and complementary cells ``(N, K, M)`` make up."""
        target = hard_labels(self, target)
        consistent = consistent_cells(teacher, target).flatten()
        values = self._of_each_cell(student, teacher, target)
        return dict(
            consistent=mean_of(values * consistent),
            complementary=self.beta * mean_of(values * ~consistent),
        )

    def _of_each_cell(self, student, teacher, target):
        """The loss inside, ``(N * M,)``."""
        cells = student.size(2)
        if self.loss.over_batch:
            # Cells of one place make up its batch.
            pairs = zip(student.unbind(dim=2), teacher.unbind(dim=2))
            each = [self.loss.rows(*pair, target) for pair in pairs]
            return torch.stack(each, dim=1).flatten()
        sides = (z.transpose(1, 2).flatten(0, 1) for z in (student, teacher))
        return self.loss.rows(*sides, target.repeat_interleave(cells))
