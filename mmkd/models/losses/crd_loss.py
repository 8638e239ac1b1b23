"""Contrastive representation distillation."""

import math
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import not_negative, positive, whole
from .levels import LossInputs
from .numerics import full_precision, promoted
from .parts.negatives import Negatives
from .parts.processes import gather_rows, row_counts

EPS = 1e-7  # the authors', in the denominators


def nce_loss(scores: Tensor, log_z: Tensor, num_samples: int) -> Tensor:
    r"""Noise-contrastive estimation with one positive and M negatives an anchor.

    .. math:: -\frac{1}{N} \sum_n \Big[ \log \frac{P_{n0}}{P_{n0} + c}
        + \sum_{m=1}^M \log \frac{M / n_{data}}{P_{nm} + c} \Big], \quad
        P = e^s / Z, \quad c = M / n_{data} + 10^{-7}

    Args:
        scores (Tensor): Scores ``s`` ``(N, 1 + M)``, the positive's first.
        log_z (Tensor): Logarithm of the constant ``Z``, a scalar.
        num_samples (int): Size of the training set, :math:`n_{data}`.

    Returns:
        Tensor: A scalar: summed over candidates, averaged over anchors; zero where
        there are none.
    """
    if not len(scores):
        return scores.sum()
    negatives = scores.size(1) - 1
    noise = negatives / num_samples
    # P / (P + c) is the sigmoid of log P - log c; no P is formed, so none overflows.
    logits = scores - log_z - math.log(noise + EPS)
    each = F.softplus(-logits[:, 0]) + F.softplus(logits[:, 1:]).sum(dim=1)
    return each.mean() + negatives * math.log1p(EPS / noise)


@MODELS.register_module()
class CRDLoss(DistillLoss):
    r"""`Contrastive Representation Distillation <https://arxiv.org/abs/1910.10699>`_
    of pooled features ``(N, C)``: ``on='neck'`` of a classifier.

    Both sides get an embedding, a linear map to ``feat_dim`` and an L2 norm, which
    is trained with the student; channels may differ. The embedding ``v`` of a sample
    by one network is compared with what the other's memory holds of that sample, the
    positive, and of samples of other classes: :func:`nce_loss` of the scores
    :math:`s = v \cdot u / \tau`, both directions added. Then the memories follow,
    ``u <- normalize(momentum * u + (1 - momentum) * v)`` for the batch. ``Z`` is
    ``num_samples`` times the mean of :math:`e^s` in the first batch, for each
    direction. The authors call this mode "exact", and weigh it 0.8.

    It has to know the samples: their ``sample_idx``, and the labels of the training
    set, which ``custom_hooks=[dict(type='mmkd.TrainingLabelsHook')]`` brings. Leave
    out Mixup and CutMix, whose images are of two samples. In a distributed run all
    processes hold the same memories, draw their own negatives and take any number of
    samples; each step waits for the device, to learn how many the others have.

    The two memories and ``Z`` are in the checkpoint: 51 MB for CIFAR-100, 1.3 GB for
    ImageNet, and once more in an EMA's. A step copies the memories and takes
    ``(N, num_samples)`` scores for each direction: 13 MB at 64 images of CIFAR-100,
    1.3 GB at 256 of ImageNet.

    Of this project (mmkd): negatives are drawn with replacement, the authors' without
    where that is possible; of a sample that comes twice in a batch the first embedding
    counts; ``Z`` is of the first batches of all processes.

    Args:
        num_samples (int): Size of the training set.
        feat_dim (int): Channels of the embeddings. Defaults to 128.
        negatives (int): Negatives for each anchor. Defaults to 16384.
        tau (float): Temperature. Defaults to 0.07.
        momentum (float): Share of the old memory that is kept. Defaults to 0.5.
    """

    ranks = (2,)
    adapts = False
    needs = ('index',)
    synchronises = True

    def __init__(
        self,
        num_samples: int,
        feat_dim: int = 128,
        negatives: int = 16384,
        tau: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.num_samples = whole('CRDLoss', 'num_samples', num_samples)
        self.feat_dim = whole('CRDLoss', 'feat_dim', feat_dim)
        self.count = whole('CRDLoss', 'negatives', negatives)
        self.tau = positive('CRDLoss', 'tau', tau)
        if not_negative('CRDLoss', 'momentum', momentum) >= 1:
            raise ConfigError(
                f'CRDLoss: momentum must be at least 0 and below 1, got {momentum!r}.'
            )
        self.momentum = momentum
        self.negatives = Negatives('CRDLoss', num_samples)
        # A generator of its own: every process has to start from the same memories.
        generator = torch.Generator().manual_seed(0)
        bound = math.sqrt(3 / feat_dim)  # a squared norm of one on average
        for name in ('student_memory', 'teacher_memory'):
            memory = torch.empty(num_samples, feat_dim)
            memory.uniform_(-bound, bound, generator=generator)
            self.register_buffer(name, memory)
        # Of the student and of the teacher as the anchor. Infinite: not known yet.
        self.register_buffer('log_z', torch.full((2,), math.inf))

    def fit(self, inputs: LossInputs) -> None:
        """Make the embeddings."""
        super().fit(inputs)
        if len(inputs.student) > 1:
            raise ConfigError(
                f'{inputs.where}: got {len(inputs.student)} levels, but CRDLoss takes '
                "one; name one module, 'neck'."
            )
        self.student_embedding = nn.Linear(inputs.student[0][1], self.feat_dim)
        self.teacher_embedding = nn.Linear(inputs.teacher[0][1], self.feat_dim)

    def see_training_set(self, labels: Tensor) -> None:
        """Take the labels, one a sample, at most ``num_samples``."""
        self.negatives.see(labels)

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
        index: Tensor,
    ) -> Tensor:
        """Compute the loss of features ``(N, C)``, and update the memories.

        ``index`` ``(N,)`` says which samples of the training set they are.

        Raises:
            ConfigError: The labels are not known, or a row is not a sample.
        """
        student, teacher = promoted(student[0]), promoted(teacher[0])
        self._check(student, index)
        with full_precision(student.device):
            student = F.normalize(self.student_embedding(student))
            teacher = F.normalize(self.teacher_embedding(teacher))
            negatives = self.negatives.draw(index, self.count)
            candidates = torch.cat([index[:, None], negatives], dim=1)
            pairs = (student, self.teacher_memory), (teacher, self.student_memory)
            scores = [self._scores(*pair, candidates) for pair in pairs]
            # A loss that is only measured, say on other data, leaves no trace; nor
            # does the first of the two passes of activation checkpointing.
            learns = self.training and torch.is_grad_enabled()
            counts = row_counts(index) if learns else [len(index)]
            log_z = self._log_z(scores, sum(counts), learns)
            if learns and sum(counts):
                self._remember(index, torch.cat([student, teacher], dim=1), counts)
            return sum(nce_loss(*pair, self.num_samples) for pair in zip(scores, log_z))

    def _check(self, features, index):
        if not self.negatives.seen:
            raise ConfigError(
                'CRDLoss got no labels of the training set, by which it draws '
                "negatives; add dict(type='mmkd.TrainingLabelsHook') to custom_hooks."
            )
        if len(features) != len(index):
            raise ConfigError(
                f'CRDLoss: got {len(features)} rows of features for {len(index)} '
                "images, but takes one an image; tap a classifier's 'neck'."
            )

    def _scores(self, anchor, memory, candidates):
        # All samples, then the wanted ones: on a CPU, gathering (N, 1 + M, feat_dim)
        # first took 17 times the time and 7 times the memory for CIFAR's 50,000
        # samples, and as long for ImageNet's. A copy, since autograd keeps what it
        # multiplied with, and the memories change before the backward pass.
        return (anchor @ memory.clone().t()).gather(1, candidates) / self.tau

    def _log_z(self, scores, count, learns):
        if not count:
            return self.log_z
        drawn = torch.stack([score.detach().logsumexp((0, 1)) for score in scores])
        if learns:
            drawn = torch.stack(all_gather(drawn)).logsumexp(dim=0)
        drawn = drawn + math.log(self.num_samples / (count * (1 + self.count)))
        log_z = torch.where(self.log_z.isinf(), drawn, self.log_z)
        if learns:
            self.log_z.copy_(log_z)
        return log_z

    @torch.no_grad()
    def _remember(self, index, embedded, counts):
        index, embedded = gather_rows(index, counts), gather_rows(embedded, counts)
        # Equal indices write equal rows, so that the order of writing does not matter.
        first = (index[:, None] == index).int().argmax(dim=1)
        memories = self.student_memory, self.teacher_memory
        for memory, new in zip(memories, embedded[first].chunk(2, dim=1)):
            kept = self.momentum * memory[index]
            memory[index] = F.normalize(kept + (1 - self.momentum) * new)
