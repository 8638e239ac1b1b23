"""SRRL: the student's feature through the teacher's classifier."""

from typing import Tuple

import torch.nn.functional as F
from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import network_of, not_all_zero, not_negative, same_channels
from .levels import LossInputs


def srrl_loss(
    student: Tuple[Tensor, Tensor],
    teacher: Tuple[Tensor, Tensor],
    feature_weight: float,
    regression_weight: float,
) -> Tensor:
    r"""Mean squared errors of features and of what one classifier makes of them.

    .. math:: \alpha \frac{1}{N C} \| h^S - h^T \|_2^2
        + \beta \frac{1}{N K} \| W h^S - W h^T \|_2^2

    where ``h`` are pooled features, the student's after its adapter, and ``W`` is the
    teacher's classifier, with its bias.

    Args:
        student (tuple[Tensor, Tensor]): Features ``(N, C)``, and logits ``(N, K)`` of
            these.
        teacher (tuple[Tensor, Tensor]): Features and their logits.
        feature_weight (float): :math:`\alpha`.
        regression_weight (float): :math:`\beta`.

    Returns:
        Tensor: A scalar.
    """
    feature_part, regression_part = map(F.mse_loss, student, teacher)
    return feature_weight * feature_part + regression_weight * regression_part


@MODELS.register_module()
class SRRLLoss(DistillLoss):
    """`Knowledge Distillation via Softmax Regression Representation Learning
    <https://openreview.net/forum?id=ZzwDy_wiWv>`_, see :func:`srrl_loss`.

    It compares what goes into the pooling of two classifiers, ``'backbone'``; the
    student's map passes an adapter, ``dict(type='ConvNormAdapter', relu=True)``. The
    teacher's own neck pools both, so sizes may differ, and its own head makes logits of
    both. It stays frozen, and the student learns through it; alone, without a
    Distiller, the loss cannot be used. Labels are not used.

    As in the authors' code it is the pooled features that are compared, and the logits
    without a temperature.

    Args:
        feature_weight (float): Weight of the features' part. Defaults to 1.0.
        regression_weight (float): Weight of the logits' part. Defaults to 1.0.
    """

    adapts = False

    def __init__(
        self, feature_weight: float = 1.0, regression_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.feature_weight = not_negative('SRRLLoss', 'feature_weight', feature_weight)
        self.regression_weight = not_negative(
            'SRRLLoss', 'regression_weight', regression_weight
        )
        not_all_zero(
            'SRRLLoss',
            feature_weight=feature_weight,
            regression_weight=regression_weight,
        )
        self._source = None

    def fit(self, inputs: LossInputs) -> None:
        """Keep the teacher, and see that its classifier takes both sides.

        Raises:
            ConfigError: It does not, or there is no classifier.
        """
        super().fit(inputs)
        network = network_of(inputs, 'neck and head')
        if getattr(network, 'head', None) is None:
            raise ConfigError(
                f'{inputs.where}: the teacher ({type(network).__name__}) has no head '
                "that makes logits of 'backbone'; SRRL needs a classifier as teacher."
            )
        if len(inputs.teacher) != 1:
            raise ConfigError(
                f'{inputs.where}: SRRL compares what goes into the classifier, one '
                f'tensor, but got {len(inputs.teacher)} levels; tap the last stage.'
            )
        same_channels(inputs, "dict(type='ConvNormAdapter', relu=True)")
        self._source = inputs.source
        weight = next(network.parameters())
        for shape in (*inputs.student, *inputs.teacher):
            try:
                self._classify(weight.new_zeros(shape))
            except Exception as error:  # of any neck and head
                raise ConfigError(
                    f"{inputs.where}: the teacher's neck and head cannot take tensors "
                    f"of shape {shape} ({error}); tap what they are given, 'backbone'."
                ) from None

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`srrl_loss`."""
        return srrl_loss(
            self._classify(student),
            self._classify(teacher),
            self.feature_weight,
            self.regression_weight,
        )

    def _classify(self, maps):
        """Pooled features of maps, and the teacher's logits of these."""
        # Looked up anew each time: the inference form may have exchanged them.
        network = self._source.model
        features = (maps,)
        if getattr(network, 'neck', None) is not None:
            features = network.neck(features)
        return features[-1], network.head(features)
