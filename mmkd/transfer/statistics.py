"""How sure an accuracy, or a difference of two, is.

*Over images* asks whether these very checkpoints would differ on other images of the
same kind; the bootstrap and McNemar's test answer. *Over runs* asks whether the methods
would differ with other seeds; the spread of the runs answers (Student's and Welch's t).
The first says nothing about the second: with enough images any two checkpoints differ,
and with the next seed perhaps the other way round. The second speaks only of what
varied: seeds of the probe on one checkpoint say nothing about another distillation.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from scipy import stats

from mmkd.errors import ConfigError

MCNEMAR = "McNemar's exact test"
BOOTSTRAP = 'paired bootstrap over images'


class Comparison(NamedTuple):
    """The difference of two methods on the same images.

    Args:
        difference (float): Mean accuracy of the first minus the second's, in points.
        low (float): Lower end of the difference's interval over images.
        high (float): Upper end.
        p (float): Two-sided p-value over images.
        test (str): Test that gave ``p``.
        p_runs (float, optional): That over runs (Welch's t); None where undefined.
    """

    difference: float
    low: float
    high: float
    p: float
    test: str
    p_runs: Optional[float] = None


def bootstrap_interval(
    correct: np.ndarray, *, level: float = 0.95, resamples: int = 10000, seed: int = 0
) -> Tuple[float, float]:
    """Return the percentile bootstrap interval of an accuracy over images.

    It has no width where all images are right, or all wrong.

    Args:
        correct (np.ndarray): Bool ``(S, N)``: which of N images each of S runs of one
            method gets right.
        level (float): Confidence, between 0 and 1. Defaults to 0.95.
        resamples (int): Number of draws of N images. Defaults to 10000.
        seed (int): Of the draws. Defaults to 0.

    Returns:
        tuple[float, float]: Ends of the interval of the mean accuracy, in percent.

    Raises:
        ConfigError: An argument is not as said, or there are fewer than 2 images.
    """
    _check_correct(correct)
    sums = _resampled_sums(correct.sum(0), level, resamples, seed)
    return _interval(sums * (100 / correct.size), level)


def seeds_interval(
    accuracies: Sequence[float], *, level: float = 0.95
) -> Optional[Tuple[float, float]]:
    """Return the interval of a mean over runs by Student's t.

    It is not clipped: with few runs it may leave the range of an accuracy.

    Args:
        accuracies (Sequence[float]): One value a run.
        level (float): Confidence, between 0 and 1. Defaults to 0.95.

    Returns:
        tuple[float, float], optional: Ends in the unit of the accuracies; None for
        fewer than 2 runs, which have no spread.

    Raises:
        ConfigError: An accuracy is not finite, or ``level`` is out of its range.
    """
    values = np.asarray(accuracies, np.float64)
    _check_level(level)
    if not np.isfinite(values).all():
        raise ConfigError(f'the accuracies {values.tolist()} are not all finite.')
    if len(values) < 2:
        return None
    error = values.std(ddof=1) / np.sqrt(len(values))
    reach = stats.t.ppf((1 + level) / 2, len(values) - 1) * error
    return float(values.mean() - reach), float(values.mean() + reach)


def compare(
    a: np.ndarray,
    b: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
) -> Comparison:
    r"""Compare two methods on the same images.

    With one run each, ``p`` is that of McNemar's exact test: of the images on which
    just one of the two is right, is it the first as often as the second? With more
    runs, the images are drawn again, in pairs, and

    .. math::
        p = \frac{1 + \#\{i : |d_i - d| \ge |d|\}}{1 + resamples}

    where :math:`d` is the difference of the mean accuracies and :math:`d_i` that of
    the i-th draw. The interval is the percentile bootstrap's in both cases, so at the
    edge it may include 0 where ``p`` is below ``1 - level``, or the other way round.
    ``p_runs`` compares the runs' accuracies by Welch's t: the module says how it
    differs. It is None for fewer than 2 runs on a side, and where no runs differ.

    Args:
        a (np.ndarray): Bool ``(S, N)``: which images each run of the first gets right.
        b (np.ndarray): Bool ``(T, N)``: the same of the second, on the same images.
        level (float): As for :func:`bootstrap_interval`.
        resamples, seed (int): As there.

    Returns:
        Comparison: Positive where the first is better.

    Raises:
        ConfigError: An argument is not as said, or the numbers of images differ.
    """
    _check_correct(a)
    _check_correct(b)
    if a.shape[1] != b.shape[1]:
        raise ConfigError(
            'a paired comparison needs the same images on both sides, but got '
            f'{a.shape[1]} and {b.shape[1]} of them.'
        )
    # Whole numbers, so that a draw as far off as the difference itself counts as such.
    votes = a.sum(0) * len(b) - b.sum(0) * len(a)
    sums = _resampled_sums(votes, level, resamples, seed)
    points = 100 / (len(a) * len(b) * a.shape[1])
    if len(a) == len(b) == 1:
        p, test = _mcnemar(a[0], b[0]), MCNEMAR
    else:
        as_far = np.abs(sums - votes.sum()) >= abs(votes.sum())
        p, test = (1 + int(as_far.sum())) / (1 + resamples), BOOTSTRAP
    low, high = _interval(sums * points, level)
    return Comparison(
        float(votes.sum() * points), low, high, p, test, _welch(a.sum(1), b.sum(1))
    )


def holm(p_values: Sequence[float]) -> List[float]:
    """Correct p-values for their number by Holm's step-down method.

    Each corrected value below 0.05 is significant with a chance of at most 5 % that
    any of them is so by luck, however the tests depend on each other: S. Holm, A
    Simple Sequentially Rejective Multiple Test Procedure (1979).

    Args:
        p_values (Sequence[float]): One of each test.

    Returns:
        list[float]: Corrected values in the same order, at most 1.

    Raises:
        ConfigError: A value is not between 0 and 1.
    """
    values = np.asarray(p_values, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ConfigError(
            f'the p-values {values.tolist()} are not all between 0 and 1; leave out '
            'those that are undefined.'
        )
    order = values.argsort()
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def _resampled_sums(values, level, resamples, seed):
    """Sum N whole numbers drawn with replacement, ``resamples`` times.

    How often each distinct value is drawn is multinomial, so no draw of N is made.
    """
    _check_level(level)
    if resamples < 1:
        raise ConfigError(f'resamples={resamples}, but it must be at least 1.')
    distinct, counts = np.unique(values, return_counts=True)
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(len(values), counts / len(values), size=resamples)
    return draws @ distinct


def _interval(draws, level) -> Tuple[float, float]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _mcnemar(a, b) -> float:
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b).pvalue)


def _welch(a, b) -> Optional[float]:
    if min(len(a), len(b)) < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return None
    return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


def _check_correct(correct):
    if not isinstance(correct, np.ndarray) or correct.dtype.kind != 'b':
        kind = getattr(correct, 'dtype', type(correct).__name__)
        raise ConfigError(
            f'the statistics take NumPy arrays of bool (right or wrong), not {kind}.'
        )
    if correct.ndim != 2 or len(correct) < 1 or correct.shape[1] < 2:
        raise ConfigError(
            'the statistics take arrays (runs, images) of at least 1 run and 2 images, '
            f'but got the shape {correct.shape}.'
        )


def _check_level(level):
    if not 0 < level < 1:
        raise ConfigError(f'level={level}, but it must be between 0 and 1, as in 0.95.')
