"""The fast protocol: settings chosen on a held-out part of train, one look at val."""

from dataclasses import dataclass
from itertools import product
from typing import Dict, Optional, Sequence

import numpy as np

from .held_out import HeldOut, judge, split_held_out
from .train_grid import Setting, train_grid

#: Of the grid; on standardised features they suit networks of any width.
LEARNING_RATES = (0.1, 0.3, 1.0)
WEIGHT_DECAYS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass
class Probe:
    """What a linear probe gives.

    Args:
        scores (np.ndarray): Logits of val, float32 ``(N_val, K)``.
        chosen (Setting): Setting with the least held-out cross-entropy; of equals the
            first.
        held_out (dict[Setting, HeldOut]): By setting, but for those that diverged.
    """

    scores: np.ndarray
    chosen: Setting
    held_out: Dict[Setting, HeldOut]


def linear_probe(
    train: Dict[str, np.ndarray],
    labels: np.ndarray,
    val: Dict[str, np.ndarray],
    *,
    learning_rates: Sequence[float] = LEARNING_RATES,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    held_out: float = 0.2,
    epochs: Optional[int] = None,
    batch_size: int = 256,
    seed: int = 0,
    device: str = 'cpu',
) -> Probe:
    """Train a grid of linear classifiers, choose one, train it again on all of train.

    The labels of val are not known here, so nothing can be chosen by them. It is chosen
    by cross-entropy, since the accuracy of few held-out images cannot tell neighbours
    in the grid apart. With one setting only nothing is held out.

    Args:
        train (dict[str, np.ndarray]): Features of train by layer, ``(N, C)``.
        labels (np.ndarray): Int ``(N,)`` from 0.
        val (dict[str, np.ndarray]): Features of val by layer.
        learning_rates (Sequence[float]): See :class:`Setting`.
        weight_decays (Sequence[float]): See :class:`Setting`.
        held_out (float): Part of each class in train to choose by. Defaults to 0.2.
        epochs (int, optional): See :func:`train_grid`.
        batch_size (int): Defaults to 256.
        seed (int): Of the held-out part and the order of samples. Defaults to 0.
        device (str): Defaults to ``'cpu'``.

    Returns:
        Probe: The chosen setting and what it says of val.

    Raises:
        ConfigError: A number is out of its range, or too few samples to hold out.
        DataError: No setting converged.
    """
    settings = [
        Setting(*cell) for cell in product(train, learning_rates, weight_decays)
    ]
    common = dict(epochs=epochs, batch_size=batch_size, seed=seed, device=device)
    chosen, figures = settings[0], {}
    if len(settings) > 1:
        mask = split_held_out(labels, held_out, seed=seed)
        fitted, chosen_by = np.flatnonzero(~mask), np.flatnonzero(mask)
        grid = train_grid(train, labels, fitted, settings, **common)
        for setting, classifier in grid.items():
            scores = classifier.scores(train[setting.layer][chosen_by])
            figures[setting] = judge(scores, labels[chosen_by])
        chosen = min(figures, key=lambda setting: figures[setting].cross_entropy)
    final = train_grid(train, labels, np.arange(len(labels)), [chosen], **common)
    return Probe(final[chosen].scores(val[chosen.layer]), chosen, figures)
