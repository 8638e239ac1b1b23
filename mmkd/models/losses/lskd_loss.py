"""Logit standardisation before any logit loss."""

from typing import Optional, Sequence

import torch
from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .checks import positive
from .input_checks import KINDS
from .levels import LossInputs
from .numerics import full_precision, promoted
from .wrapping_loss import WrappingLoss


def standardise(logits: Tensor, eps: float = 1e-7) -> Tensor:
    r"""Give each sample's logits zero mean and unit deviation over the classes.

    .. math:: \hat z_{nk} = (z_{nk} - \mu_n) / (\sigma_n + \epsilon)

    with the unbiased standard deviation. Statistics carry the gradient. A sample of
    equal logits, say of a classifier that starts from zero, gives zeros; its gradient
    is as if the deviation were 1 (mmkd; the formula's is of the order ``1 / eps``).

    Args:
        logits (Tensor): Logits ``(N, K)``, at least two classes; of two only which is
            larger is left, which has no gradient.
        eps (float): Added to the deviation. Defaults to 1e-7.

    Returns:
        Tensor: Standardised logits ``(N, K)``.
    """
    centred = logits - logits.mean(dim=1, keepdim=True)
    # Unlike the root of a variance, a norm has a gradient where it is zero: zero.
    norm = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    deviation = norm / (logits.size(1) - 1) ** 0.5
    return centred / torch.where(norm > 0, deviation + eps, 1.0)


@MODELS.register_module()
class LSKDLoss(WrappingLoss):
    """`Logit Standardization in Knowledge Distillation
    <https://arxiv.org/abs/2403.01427>`_: any logit loss on standardised logits.

    Both sides go through :func:`standardise`, then into the loss inside, which gets
    all else that it needs and whose parts are logged. The authors' temperature is 2 or
    3 and their weight 9, next to 0.1 of cross entropy. Around :class:`MLKDLoss` the
    correlations are of standardised logits as well (mmkd; the authors' are not).

    Args:
        loss (dict, optional): Type and arguments of the loss inside. Defaults to
            ``dict(type='KDLoss', tau=2.0)``.
        eps (float): See :func:`standardise`. Defaults to 1e-7.

    Raises:
        ConfigError: The loss inside cannot be built, or what it would compare are
            not logits of three or more classes.
    """

    ranks = (2,)

    def __init__(self, loss: Optional[dict] = None, eps: float = 1e-7) -> None:
        super().__init__(loss, dict(type='KDLoss', tau=2.0))
        ranks = self.loss.ranks
        if ranks is not None and 2 not in ranks:
            kinds = ' or '.join(KINDS[rank] for rank in ranks)
            raise ConfigError(
                f'LSKDLoss: {type(self.loss).__name__} compares {kinds}; choose a loss '
                'of rows of logits, such as KDLoss or DKDLoss.'
            )
        # Of two standardised logits all that is left is which is larger.
        self.least_columns = max(3, self.loss.least_columns)
        self.eps = positive('LSKDLoss', 'eps', eps)

    @property
    def weighs_rows(self) -> bool:
        """Whether the loss inside can weigh rows: each is standardised on its own."""
        return self.loss.weighs_rows

    def fit(self, inputs: LossInputs) -> None:
        """Check that logits are compared, then fit the loss inside."""
        super().fit(inputs)
        self.loss.fit(inputs)

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
        **side,
    ) -> Tensor:
        """Return the loss inside, of standardised logits ``(N, K)``."""
        student, teacher = (
            [self._standardised(logits) for logits in levels]
            for levels in (student, teacher)
        )
        value = self.loss(student, teacher, targets, **side)
        self.parts = self.loss.parts
        return value

    def rows(self, student: Tensor, teacher: Tensor, target) -> Tensor:
        """Return the loss inside ``(N,)`` of each sample."""
        student, teacher = map(self._standardised, (student, teacher))
        return self.loss.rows(student, teacher, target)

    def _standardised(self, logits):
        with full_precision(logits.device):
            return standardise(promoted(logits), self.eps)
