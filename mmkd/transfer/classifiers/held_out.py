"""A part of train to choose settings by, so that val is left for the final figure."""

from typing import NamedTuple, Optional

import numpy as np
from scipy.special import log_softmax

from mmkd.errors import ConfigError


def split_held_out(
    labels: np.ndarray, fraction: float = 0.1, *, seed: int = 0
) -> np.ndarray:
    """Draw the same fraction of each class.

    Every class with 2 or more samples has at least one on either side; the only
    sample of a class stays in training.

    Args:
        labels (np.ndarray): Int ``(N,)``.
        fraction (float): Part of each class to hold out, between 0 and 1. Defaults to
            0.1.
        seed (int): Of the draw. Defaults to 0.

    Returns:
        np.ndarray: Bool ``(N,)``, true where held out.

    Raises:
        ConfigError: ``fraction`` is out of its range, or no class has two samples.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f'fraction={fraction}, but it must be between 0 and 1.')
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        number = max(1, round(len(members) * fraction))
        held_out[members[: min(number, len(members) - 1)]] = True
    if not held_out.any():
        raise ConfigError(
            f'none of {len(labels)} samples can be held out, as no class has two; give '
            'more samples a class.'
        )
    return held_out


class HeldOut(NamedTuple):
    """Figures of the held-out part.

    Args:
        top1 (float): Accuracy in percent.
        cross_entropy (float, optional): Mean, in nats; None where scores are no logits.
    """

    top1: float
    cross_entropy: Optional[float] = None


def judge(logits: np.ndarray, labels: np.ndarray) -> HeldOut:
    """Hold logits ``(N, K)`` against labels ``(N,)``."""
    likelihoods = log_softmax(logits, 1)[np.arange(len(labels)), labels]
    right = logits.argmax(1) == labels
    return HeldOut(100 * float(right.mean()), -float(likelihoods.mean()))
