"""Feature distribution prediction, for UniKD."""

from typing import List, Sequence, Tuple

import torch
from torch import Tensor, nn

#: Log-variances are kept within plus and minus this.
LIMIT = 10.0


class DistributionHead(nn.Module):
    """Predicts from a map how each prediction of its network is distributed.

    The map is averaged over its pixels. For each prediction two linear layers give mean
    and log-variance of a Gaussian with independent coordinates.

    Log-variances are clamped to -10 and 10, standard deviations of 0.007 and 148
    (mmkd). They are linear in the feature, so that their exponential would overflow
    where features are large. Beyond the bounds the log-variance gets no gradient.

    Args:
        in_channels (int): Of the map.
        columns (Sequence[int]): ``K`` of each prediction ``(N, K)``.
    """

    def __init__(self, in_channels: int, columns: Sequence[int]) -> None:
        super().__init__()
        self.means = nn.ModuleList(nn.Linear(in_channels, k) for k in columns)
        self.logvars = nn.ModuleList(nn.Linear(in_channels, k) for k in columns)

    def forward(self, maps: Tensor) -> List[Tuple[Tensor, Tensor]]:
        """Return mean and log-variance ``(N, K)`` of each prediction.

        Args:
            maps (Tensor): ``(N, C, H, W)``.
        """
        pooled = maps.mean(dim=(2, 3))
        return [
            (mean(pooled), logvar(pooled).clamp(-LIMIT, LIMIT))
            for mean, logvar in zip(self.means, self.logvars)
        ]


def draw(mean: Tensor, logvar: Tensor) -> Tensor:
    """Draw from Gaussians, with gradients to mean and log-variance.

    Args:
        mean (Tensor): ``(N, K)``.
        logvar (Tensor): ``(N, K)``; -inf gives the mean.

    Returns:
        Tensor: ``(N, K)``.
    """
    return mean + (logvar / 2).exp() * torch.randn_like(mean)


def gaussian_divergence(
    mean_s: Tensor, logvar_s: Tensor, mean_t: Tensor, logvar_t: Tensor
) -> Tensor:
    r"""Kullback-Leibler divergence of Gaussians with independent coordinates.

    .. math:: KL(T_n \| S_n) = \frac{1}{2} \sum_k \Big[
        \log \sigma_S^2 - \log \sigma_T^2 - 1
        + \frac{\sigma_T^2 + (\mu_T - \mu_S)^2}{\sigma_S^2} \Big]

    Args:
        mean_s (Tensor): Student's ``(N, K)``.
        logvar_s (Tensor): Student's log-variances ``(N, K)``.
        mean_t (Tensor): Teacher's ``(N, K)``.
        logvar_t (Tensor): Teacher's log-variances ``(N, K)``.

    Returns:
        Tensor: ``(N,)``, summed over coordinates.
    """
    log_ratio = logvar_t - logvar_s
    distance = (mean_t - mean_s).square() * (-logvar_s).exp()
    return (log_ratio.exp() - log_ratio - 1 + distance).sum(dim=1) / 2
