"""Nearest neighbours among features, to hold a linear probe against."""

from numbers import Integral
from typing import Optional, Sequence

import numpy as np
import torch
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches

from mmkd.errors import ConfigError

from .held_out import HeldOut
from .reference import Reference, prepare

CELLS = 2**25  # similarities held at a time: 128 MiB


def nearest_neighbours(
    train: np.ndarray,
    labels: np.ndarray,
    val: np.ndarray,
    *,
    ks: Sequence[int] = (1, 5, 10, 20, 50),
    held_out: Optional[np.ndarray] = None,
) -> Reference:
    """Classify by the k training samples with the most similar direction.

    Similarity is the cosine of the features as they are, not standardised (0 with a
    feature of zeros). Each neighbour has one vote; of classes with as many votes
    ``argmax`` takes the smallest label. Of samples exactly as similar, ``torch.topk``
    picks. With k below 5 a top-5 accuracy means little: few classes have votes.

    Memory: about 2 float32 copies of the features, and 128 MiB.

    Args:
        train (np.ndarray): As for :func:`logistic_regression`.
        labels, val (np.ndarray): As there.
        ks (Sequence[int]): Numbers of neighbours to choose from.
        held_out (np.ndarray, optional): As there.

    Returns:
        Reference: Scores are the part of the k votes that went to each class.

    Raises:
        ConfigError: An argument is not as said.
        DataError: Features or labels are not as said, or not finite.
    """
    if not len(ks) or not all(isinstance(k, Integral) and k > 0 for k in ks):
        raise ConfigError(f'ks={ks!r}, but it must name whole numbers of at least 1.')
    train, val, mask = prepare(train, labels, val, held_out)
    number = int(labels.max()) + 1
    if max(ks) > (~mask).sum():
        raise ConfigError(
            f'{max(ks)} neighbours were asked for, but {(~mask).sum()} training '
            'samples are not held out; give smaller ks.'
        )
    train, val = normalize(train, copy=False), normalize(val, copy=False)
    near = _neighbours(train[mask], train[~mask], labels[~mask], max(ks))
    figures = {k: _right(_votes(near[:, :k], number), labels[mask]) for k in ks}
    best = max(figures, key=figures.get)
    near = _neighbours(val, train, labels, best)
    return Reference(_votes(near, number), best, figures)


def _neighbours(queries, bank, labels, k):
    """Return the labels ``(N, k)`` of each query's neighbours, the nearest first."""
    near = np.empty((len(queries), k), np.int64)
    for rows in gen_batches(len(queries), max(1, CELLS // len(bank))):
        # Unnamed, or these similarities would outlive the making of the next.
        nearest = torch.from_numpy(queries[rows] @ bank.T).topk(k).indices
        near[rows] = labels[nearest.numpy()]
    return near


def _votes(near, number):
    cells = np.arange(len(near))[:, None] * number + near
    votes = np.bincount(cells.ravel(), minlength=len(near) * number)
    return (votes.reshape(len(near), number) / near.shape[1]).astype(np.float32)


def _right(votes, labels):
    return HeldOut(100 * float((votes.argmax(1) == labels).mean()))
