"""A linear classifier on standardised features."""

from typing import NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor

#: Rows read at once from an array that may lie on the disk.
ROWS = 4096


class LinearClassifier(NamedTuple):
    """Standardises a feature and multiplies.

    Args:
        mean (Tensor): Of the training features, ``(C,)``.
        scale (Tensor): One over their deviations, 0 where a feature is constant.
        weight (Tensor): ``(C, K)``.
        bias (Tensor): ``(K,)``.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the logits, float32 ``(N, K)``, of features ``(N, C)``."""
        scores = np.empty((len(features), self.weight.size(1)), np.float32)
        for start in range(0, len(features), ROWS):
            rows = torch.from_numpy(np.array(features[start : start + ROWS]))
            rows = (rows.to(self.mean.device).float() - self.mean) * self.scale
            logits = torch.addmm(self.bias, rows, self.weight)
            scores[start : start + ROWS] = logits.cpu().numpy()
        return scores


def moments(features: np.ndarray, rows: np.ndarray) -> Tuple[Tensor, Tensor]:
    """Return mean and scale of some rows, summed in float64 block by block.

    Args:
        features (np.ndarray): ``(N, C)``, memory-mapped or not.
        rows (np.ndarray): Indices of the rows, in ascending order.
    """
    total, squares = 0.0, 0.0
    # About some row, not about 0: features far from it would lose their spread.
    first = np.asarray(features[rows[0]], np.float64)
    for start in range(0, len(rows), ROWS):
        block = np.asarray(features[rows[start : start + ROWS]], np.float64) - first
        total, squares = total + block.sum(0), squares + np.square(block).sum(0)
    mean = total / len(rows)
    variance = np.maximum(squares / len(rows) - np.square(mean), 0)
    deviation = np.sqrt(variance)
    # What only rounding moves is constant.
    varies = deviation > 1e-6 * np.maximum(np.abs(first + mean), 1e-6)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    return torch.from_numpy(first + mean).float(), torch.from_numpy(scale).float()
