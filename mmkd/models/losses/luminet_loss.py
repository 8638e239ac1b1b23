"""LumiNet: perception of each class over the batch."""

import logging

import torch.distributed as dist
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import flag, positive


def perception(logits: Tensor, eps: float = 1e-5, sync_stats: bool = False) -> Tensor:
    r"""Standardise each class column over the batch.

    .. math:: h_{ij} = (z_{ij} - \mu_j) / \sqrt{\sigma_j^2 + \epsilon}

    with the mean and the biased variance over samples ``i``. Statistics carry the
    gradient.

    Args:
        logits (Tensor): Logits ``(N, K)``.
        eps (float): Added to the variance, inside the root. Defaults to 1e-5.
        sync_stats (bool): Take the statistics over all processes of a distributed
            run. Defaults to False, the authors' semantics.

    Returns:
        Tensor: Standardised logits ``(N, K)``, each of magnitude below
        ``sqrt(N - 1)``.
    """
    if sync_stats and dist.is_initialized():
        return _standardise_over_processes(logits, eps)
    centred = logits - logits.mean(dim=0)
    variance = centred.square().mean(dim=0)
    return centred / (variance + eps).sqrt()


def _standardise_over_processes(logits, eps):
    count = all_reduce(logits.new_tensor(float(len(logits))))
    centred = logits - all_reduce(logits.sum(dim=0)) / count
    variance = all_reduce(centred.square().sum(dim=0)) / count
    return centred / (variance + eps).sqrt()


def luminet_rows(
    student: Tensor,
    teacher: Tensor,
    tau: float,
    alpha: float,
    eps: float = 1e-5,
    sync_stats: bool = False,
) -> Tensor:
    r"""Kullback-Leibler divergence of each sample's softened perception.

    .. math:: \alpha^2\,
        KL(\mathrm{softmax}(h^T_n/\tau) \| \mathrm{softmax}(h^S_n/\tau))

    There is no factor :math:`\tau^2`: ``alpha`` is a parameter of its own.

    Args:
        student (Tensor): Logits ``(N, K)``.
        teacher (Tensor): Logits ``(N, K)``.
        tau (float): Temperature.
        alpha (float): Scale; its square multiplies the divergence.
        eps (float): See :func:`perception`.
        sync_stats (bool): See :func:`perception`.

    Returns:
        Tensor: ``(N,)``, summed over classes.
    """
    log_student = F.log_softmax(perception(student, eps, sync_stats) / tau, dim=1)
    log_teacher = F.log_softmax(perception(teacher, eps, sync_stats) / tau, dim=1)
    divergence = F.kl_div(log_student, log_teacher, reduction='none', log_target=True)
    return divergence.sum(dim=1) * alpha**2


@MODELS.register_module()
class LumiNetLoss(DistillLoss):
    """`LumiNet: The Bright Side of Perceptual Knowledge Distillation
    <https://arxiv.org/abs/2310.03669>`_, the mean of :func:`luminet_rows`.

    Labels are not used, so Mixup and CutMix are fine. The statistics run over the
    batch of one process: they depend on its size, and a batch of one gives no loss
    and no gradient (a warning says so once). The gradient grows as one over the
    standard deviation of the student's logits: give a freshly initialised detection
    head a warm-up, ``weight=dict(value=1.0, warmup_iters=1000)``.

    Args:
        tau (float): Temperature. Defaults to 4.0.
        alpha (float): Scale, squared in the loss. Defaults to 33.0, the authors'
            for resnet32x4 -> resnet8x4 on CIFAR-100.
        eps (float): Added to the variance. Defaults to 1e-5.
        sync_stats (bool): Statistics over all processes instead of one. Each takes
            part with all rows that it has, be it none. Defaults to False, as the
            authors do.
    """

    over_batch = True
    ranks = (2,)
    of_classes = True
    least_columns = 2

    def __init__(
        self,
        tau: float = 4.0,
        alpha: float = 33.0,
        eps: float = 1e-5,
        sync_stats: bool = False,
    ) -> None:
        super().__init__()
        self.tau = positive('LumiNetLoss', 'tau', tau)
        self.alpha = positive('LumiNetLoss', 'alpha', alpha)
        self.eps = positive('LumiNetLoss', 'eps', eps)
        self.sync_stats = flag('LumiNetLoss', 'sync_stats', sync_stats)
        self.synchronises = sync_stats
        self._warned = False

    def rows(self, student: Tensor, teacher: Tensor, target=None) -> Tensor:
        """See :func:`luminet_rows`."""
        if len(student) == 1 and not self.sync_stats and not self._warned:
            self._warned = True
            print_log(
                'LumiNetLoss got a batch of one: its statistics run over the batch, '
                'so its value and gradient are zero; use at least two samples a '
                'process, or sync_stats=True in a distributed run.',
                logger='current',
                level=logging.WARNING,
            )
        return luminet_rows(
            student, teacher, self.tau, self.alpha, self.eps, self.sync_stats
        )
