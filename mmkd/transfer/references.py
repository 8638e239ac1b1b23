"""Well-known classifiers on the same features, to hold a linear probe against."""

import logging
import warnings
from numbers import Integral
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils import gen_batches

from mmkd.errors import ConfigError

from .held_out import HeldOut, judge
from .reference_inputs import prepare

ROWS = 4096  # samples standardised at a time
TOLERANCE = 1e-5  # scikit-learn's 1e-4 leaves logits some per cent off
CELLS = 2**25  # similarities held at a time: 128 MiB


class Reference(NamedTuple):
    """What a reference says of val, and how its setting was chosen.

    Args:
        scores (np.ndarray): float32 ``(N_val, K)``, the higher the likelier.
        chosen (float): Weight decay with the least held-out cross-entropy, or number of
            neighbours with the best held-out accuracy; of equals the first.
        held_out (dict[float, HeldOut]): By setting.
    """

    scores: np.ndarray
    chosen: float
    held_out: Dict[float, HeldOut]


def logistic_regression(
    train: np.ndarray,
    labels: np.ndarray,
    val: np.ndarray,
    weight_decays: Sequence[float] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
    held_out: Optional[np.ndarray] = None,
    max_iter: int = 1000,
) -> Reference:
    r"""Fit scikit-learn's multinomial logistic regression by L-BFGS.

    Each feature is standardised by its mean and deviation over train; one that is
    constant there gets no weight. A weight decay :math:`\lambda` means what it means
    to SGD: the loss is

    .. math::
        \frac{1}{N} \sum_n CE_n + \frac{\lambda}{2} \lVert W \rVert^2

    with a free bias. scikit-learn sums over samples and multiplies that by ``C``, so
    :math:`C = 1 / (\lambda N)` with N of the part that is fitted: all of train but the
    held-out part to choose by its cross-entropy, then all of train. With two classes
    scikit-learn fits one vector, the difference of softmax's two, which takes twice
    that ``C``.

    L-BFGS stops where no component of the gradient is above 1e-5, and where it cannot,
    a warning is logged. On separable classes a weight decay of 0 has no optimum.

    Memory: about 2 float32 copies of the features, and the scores.

    Args:
        train (np.ndarray): Features float ``(N, C)``, memory-mapped or not.
        labels (np.ndarray): Int ``(N,)`` from 0; the highest gives K.
        val (np.ndarray): Features float ``(N_val, C)``.
        weight_decays (Sequence[float]): To choose from, 0 or above.
        held_out (np.ndarray, optional): Bool mask or indices of the part to choose by.
            Defaults to that of :func:`split_held_out`.
        max_iter (int): Most iterations of L-BFGS. Defaults to 1000.

    Returns:
        Reference: Scores are logits; a class without training samples has ``-inf``.

    Raises:
        ConfigError: An argument is not as said.
        DataError: Features or labels are not as said, or not finite.
    """
    if not len(weight_decays) or not all(0 <= wd < np.inf for wd in weight_decays):
        raise ConfigError(
            f'weight_decays={weight_decays!r}, but it must name values of at least 0.'
        )
    train, val, mask = prepare(train, labels, val, held_out)
    number = int(labels.max()) + 1
    _standardise(train, val)
    fitted, chosen_by, truth = train[~mask], train[mask], labels[mask]
    found = {}
    for decay in weight_decays:
        model = _fit(fitted, labels[~mask], decay, max_iter)
        found[decay] = judge(_logits(model, chosen_by, number), truth)
    best = min(found, key=lambda decay: found[decay].cross_entropy)
    model = _fit(train, labels, best, max_iter)
    return Reference(_logits(model, val, number), best, found)


def nearest_neighbours(
    train: np.ndarray,
    labels: np.ndarray,
    val: np.ndarray,
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
    found = {k: _right(_votes(near[:, :k], number), labels[mask]) for k in ks}
    best = max(found, key=found.get)
    near = _neighbours(val, train, labels, best)
    return Reference(_votes(near, number), best, found)


def _standardise(train, val):
    scaler = StandardScaler(copy=False)
    for rows in gen_batches(len(train), ROWS):
        scaler.partial_fit(train[rows])
    for part in (train, val):
        for rows in gen_batches(len(part), ROWS):
            part[rows] = scaler.transform(part[rows])


def _fit(features, labels, decay, max_iter):
    vectors = 2 if len(np.unique(labels)) == 2 else 1
    strength = vectors / (decay * len(labels)) if decay else np.inf
    model = LogisticRegression(C=strength, tol=TOLERANCE, max_iter=max_iter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', ConvergenceWarning)
        model.fit(features, labels)
    for warning in caught:
        print_log(
            f'logistic regression with weight decay {decay}: {warning.message}',
            logger='current',
            level=logging.WARNING,
        )
    return model


def _logits(model, features, number):
    logits = model.decision_function(features)
    if logits.ndim == 1:
        logits = np.stack([-logits / 2, logits / 2], 1)
    scores = np.full((len(features), number), -np.inf, np.float32)
    scores[:, model.classes_] = logits
    return scores


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
