"""Scikit-learn's logistic regression on features, to hold a linear probe against."""

import logging
import warnings
from typing import Optional, Sequence

import numpy as np
from mmengine.logging import print_log
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from mmkd.errors import ConfigError

from .held_out import judge
from .reference import Reference, prepare

ROWS = 4096  # samples standardised at a time
TOLERANCE = 1e-5  # scikit-learn's 1e-4 leaves logits some per cent off


def logistic_regression(
    train: np.ndarray,
    labels: np.ndarray,
    val: np.ndarray,
    *,
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
    figures = {}
    for decay in weight_decays:
        model = _fit(fitted, labels[~mask], decay, max_iter)
        figures[decay] = judge(_logits(model, chosen_by, number), truth)
    best = min(figures, key=lambda decay: figures[decay].cross_entropy)
    model = _fit(train, labels, best, max_iter)
    return Reference(_logits(model, val, number), best, figures)


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
