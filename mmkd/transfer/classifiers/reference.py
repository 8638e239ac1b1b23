"""What classifiers that the probe is held against take and give."""

from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from mmkd.errors import ConfigError, DataError

from .held_out import HeldOut, split_held_out


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


def prepare(
    train: np.ndarray,
    labels: np.ndarray,
    val: np.ndarray,
    held_out: Optional[np.ndarray],
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check features and labels, and copy the features.

    Args:
        train (np.ndarray): Features float ``(N, C)``, memory-mapped or not.
        labels (np.ndarray): Int ``(N,)`` from 0.
        val (np.ndarray): Features float ``(N_val, C)``.
        held_out (np.ndarray, optional): Bool mask or indices of a part of train; None
            for that of :func:`split_held_out`.

    Returns:
        tuple: float32 copies of ``train`` and ``val``, which the caller may change, and
        the held-out part as a bool mask ``(N,)``.

    Raises:
        ConfigError: ``held_out`` does not fit, or leaves too little on either side.
        DataError: Features or labels are not as said, or not finite.
    """
    shapes = f'train {train.shape}, labels {labels.shape}, val {val.shape}'
    if train.ndim != 2 or val.shape[1:] != train.shape[1:] or not len(val):
        raise DataError(f'features must be (N, C) of one width, but are: {shapes}.')
    if labels.shape != train.shape[:1] or labels.dtype.kind not in 'iu':
        raise DataError(
            'labels must be whole numbers, one a training sample, but are '
            f'{labels.dtype}: {shapes}.'
        )
    if not len(labels) or labels.min() < 0 or labels.min() == labels.max():
        raise DataError(
            'labels must name two or more classes, numbered from 0, but are '
            f'{np.unique(labels).tolist()}.'
        )
    mask = _mask(labels, held_out)
    return _copy(train, 'train'), _copy(val, 'val'), mask


def _mask(labels, held_out):
    if held_out is None:
        mask = split_held_out(labels)
    else:
        mask = np.zeros(len(labels), bool)
        try:
            mask[held_out] = True
        except IndexError as error:
            raise ConfigError(
                f'held_out must be a bool mask or indices of {len(labels)} training '
                f'samples: {error}.'
            ) from error
    if not mask.any() or len(np.unique(labels[~mask])) < 2:
        raise ConfigError(
            f'held_out leaves {mask.sum()} samples to choose by and '
            f'{(~mask).sum()} to fit; it must leave some to choose by, and two '
            'classes to fit.'
        )
    return mask


def _copy(features, part):
    copy = np.array(features, np.float32, order='C')
    # The extremes are NaN where a value is, and take no memory.
    if not np.isfinite([copy.min(), copy.max()]).all():
        raise DataError(
            f'the features of {part} hold NaN or infinite values; extract them in '
            'float32, and check the model.'
        )
    return copy
