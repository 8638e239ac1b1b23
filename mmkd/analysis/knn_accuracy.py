"""How well features of one class lie together, in all of their dimensions."""

import numpy as np
from numpy import ndarray
from scipy.stats import mode
from sklearn.neighbors import NearestNeighbors

from mmkd.errors import DataError

NEIGHBOURS = 10


def knn_accuracy(
    features: ndarray, labels: ndarray, neighbours: int = NEIGHBOURS
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
    near = NearestNeighbors(n_neighbors=neighbours).fit(finite(features))
    votes = np.asarray(labels)[near.kneighbors(return_distance=False)]
    return float((mode(votes, axis=1).mode.ravel() == labels).mean())


def finite(features: ndarray) -> ndarray:
    """Return features in float32.

    Raises:
        DataError: One is not finite.
    """
    features = np.asarray(features, np.float32)
    if not np.isfinite(features).all():
        raise DataError('a feature is not finite; check the checkpoint.')
    return features
