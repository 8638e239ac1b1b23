"""Which samples lie together: in all dimensions of their features, and in a plane."""

from typing import Sequence

import numpy as np
from numpy import ndarray
from scipy.stats import mode
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from mmkd.errors import ConfigError, DataError

NEIGHBOURS = 10


def choose_samples(
    labels: ndarray, classes: Sequence[int], *, per_class: int = 100, seed: int = 0
) -> ndarray:
    """Draw up to ``per_class`` samples of each class.

    Args:
        labels (ndarray): ``(N,)``.
        classes (Sequence[int]): Labels to draw from.
        per_class (int): Most samples of a class. Defaults to 100.
        seed (int): Equal seeds give equal samples. Defaults to 0.

    Returns:
        ndarray: Their indices, in ascending order.

    Raises:
        DataError: A class has no sample.
    """
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    chosen = []
    for label in classes:
        of_class = np.flatnonzero(labels == label)
        if not len(of_class):
            raise DataError(
                f't-SNE: no sample has the class {label}; the classes are '
                f'{labels.min()} to {labels.max()}, so choose of those.'
            )
        chosen.append(rng.permutation(of_class)[:per_class])
    return np.sort(np.concatenate(chosen))


def knn_accuracy(
    features: ndarray, labels: ndarray, *, neighbours: int = NEIGHBOURS
) -> float:
    """Part of the samples that their nearest neighbours classify rightly.

    Every sample is left out of its own neighbours. Distances are Euclidean, each
    neighbour has one vote, and the first of the classes wins a tie.

    Args:
        features (ndarray): ``(N, C)``.
        labels (ndarray): ``(N,)``.
        neighbours (int): How many vote, below N. Defaults to 10.

    Returns:
        float: From 0 to 1.

    Raises:
        DataError: There are too few samples, or a feature is not finite.
    """
    if len(features) <= neighbours:
        raise DataError(
            f'{neighbours} nearest neighbours need more than {neighbours} samples; '
            f'there are {len(features)}.'
        )
    near = NearestNeighbors(n_neighbors=neighbours).fit(_finite(features))
    votes = np.asarray(labels)[near.kneighbors(return_distance=False)]
    return float((mode(votes, axis=1).mode.ravel() == labels).mean())


def embed(features: ndarray, *, perplexity: float = 30.0, seed: int = 0) -> ndarray:
    """Place samples in a plane by scikit-learn's t-SNE, from their PCA on.

    `Visualizing Data using t-SNE <https://jmlr.org/papers/v9/vandermaaten08a.html>`_.

    Args:
        features (ndarray): ``(N, C)``.
        perplexity (float): About how many neighbours count, below N. Defaults to 30.
        seed (int): Of the random numbers. Defaults to 0.

    Returns:
        ndarray: ``(N, 2)``.

    Raises:
        ConfigError: ``perplexity`` does not fit the number of samples.
        DataError: A feature is not finite.
    """
    if not 0 < perplexity < len(features):
        raise ConfigError(
            f't-SNE: perplexity {perplexity:g} must be above 0 and below the number '
            f'of samples, {len(features)}; take more samples or lower it.'
        )
    method = TSNE(perplexity=perplexity, init='pca', random_state=seed)
    return method.fit_transform(_finite(features))


def _finite(features: ndarray) -> ndarray:
    """Return features in float32.

    Raises:
        DataError: One is not finite.
    """
    features = np.asarray(features, np.float32)
    if not np.isfinite(features).all():
        raise DataError('a feature is not finite; check the checkpoint.')
    return features
