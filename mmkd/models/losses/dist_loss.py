"""Distillation of relations between and within classes."""

from torch import Tensor

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import not_all_zero, not_negative, positive


def correlation(first: Tensor, second: Tensor, dim: int, eps: float = 1e-8) -> Tensor:
    """Pearson correlation along a dimension.

    Args:
        first (Tensor): Any shape.
        second (Tensor): The shape of ``first``.
        dim (int): What it runs along.
        eps (float): Added to the product of the norms, so that what is constant
            counts as uncorrelated. Defaults to 1e-8, as in the authors' code.

    Returns:
        Tensor: The shape of ``first`` without ``dim``.
    """
    first = first - first.mean(dim=dim, keepdim=True)
    second = second - second.mean(dim=dim, keepdim=True)
    norms = first.norm(dim=dim) * second.norm(dim=dim)
    return (first * second).sum(dim=dim) / (norms + eps)


def dist_loss(
    student: Tensor, teacher: Tensor, beta: float, gamma: float, tau: float = 1.0
) -> Tensor:
    r"""Correlations of softened predictions, over classes and over the batch.

    .. math:: \tau^2 \Big[ \beta \frac{1}{N} \sum_n (1 - \rho(p^S_{n,:}, p^T_{n,:}))
        + \gamma \frac{1}{K} \sum_k (1 - \rho(p^S_{:,k}, p^T_{:,k})) \Big]

    with :math:`p = \mathrm{softmax}(z/\tau)` and Pearson's :math:`\rho`. A row or
    column that is constant has no correlation: it adds its weight to the loss, also
    where student and teacher are equal. The factor :math:`\tau^2` is in the authors'
    code.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        beta (float): Weight of the inter-class part, correlations of rows.
        gamma (float): Weight of the intra-class part, correlations of columns.
        tau (float): Temperature. Defaults to 1.0.

    Returns:
        Tensor: A scalar: averaged over samples and over classes.
    """
    student = (student / tau).softmax(dim=1)
    teacher = (teacher / tau).softmax(dim=1)
    inter_part = 1 - correlation(student, teacher, dim=1).mean()
    intra_part = 1 - correlation(student, teacher, dim=0).mean()
    return (beta * inter_part + gamma * intra_part) * tau**2


@MODELS.register_module()
class DISTLoss(DistillLoss):
    """`Knowledge Distillation from A Stronger Teacher
    <https://arxiv.org/abs/2205.10536>`_, see :func:`dist_loss`.

    Labels are not used, so Mixup and CutMix are fine. The intra-class part runs over
    the batch of one process: it depends on its size, and a batch of one gives it no
    gradient. The gradient grows as one over the spread of the student's
    probabilities: give a head whose weights start at or near zero a warm-up.

    Args:
        beta (float): Weight of the inter-class part. Defaults to 1.0.
        gamma (float): Weight of the intra-class part. Defaults to 1.0.
        tau (float): Temperature. Defaults to 1.0.
    """

    over_batch = True
    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(self, beta: float = 1.0, gamma: float = 1.0, tau: float = 1.0) -> None:
        super().__init__()
        self.beta = not_negative('DISTLoss', 'beta', beta)
        self.gamma = not_negative('DISTLoss', 'gamma', gamma)
        not_all_zero('DISTLoss', beta=beta, gamma=gamma)
        # Rows of two columns are always correlated, or always opposite.
        self.least_columns = 2 if gamma else 3
        self.tau = positive('DISTLoss', 'tau', tau)

    def compare(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`dist_loss`."""
        return dist_loss(student, teacher, self.beta, self.gamma, self.tau)
