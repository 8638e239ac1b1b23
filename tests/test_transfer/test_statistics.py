"""Intervals and tests against closed forms, scipy and simulated truth."""

import math

import numpy as np
import pytest
from scipy import stats

from mmkd.errors import ConfigError
from mmkd.transfer.statistics import (
    BOOTSTRAP,
    MCNEMAR,
    bootstrap_interval,
    compare,
    holm,
    seeds_interval,
)


def runs(seed, number, images, level, spread=0.3):
    """Draw runs whose images differ in difficulty, and so agree in part.

    The true accuracy of each is ``level``.
    """
    generator = np.random.default_rng(seed)
    easy = level + generator.uniform(-spread, spread, images)
    return generator.random((number, images)) < easy


def with_counts(both, only_a, only_b, neither):
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array([a]), np.array([b])


@pytest.mark.parametrize('number', [1, 3])
def test_the_interval_is_that_of_scipy(number):
    correct = runs(0, number, 500, 0.65)
    expected = stats.bootstrap(
        (100 * correct.mean(0),),
        np.mean,
        method='percentile',
        n_resamples=5000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert bootstrap_interval(correct) == pytest.approx(expected, abs=0.3)
    wide = bootstrap_interval(correct, level=0.99)
    assert wide[0] < expected[0] and wide[1] > expected[1]


def test_the_interval_is_as_wide_as_the_binomial_says():
    correct = np.arange(10000)[None] < 7000
    half = 100 * 1.96 * math.sqrt(0.7 * 0.3 / 10000)
    assert bootstrap_interval(correct) == pytest.approx(
        (70 - half, 70 + half), abs=0.05
    )


@pytest.mark.parametrize('number', [1, 3])
def test_the_interval_covers_the_truth_as_often_as_it_says(number):
    hits = 0
    for seed in range(400):
        low, high = bootstrap_interval(runs(seed, number, 300, 0.65), resamples=1000)
        hits += low <= 65 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_all_right_has_no_width():
    assert bootstrap_interval(np.ones((1, 50), bool)) == (100, 100)


def test_a_seed_repeats():
    a, b = runs(0, 2, 300, 0.6), runs(1, 2, 300, 0.65)
    assert bootstrap_interval(a, seed=3) == bootstrap_interval(a, seed=3)
    assert bootstrap_interval(a, seed=3) != bootstrap_interval(a, seed=4)
    assert compare(a, b, seed=3) == compare(a, b, seed=3)
    assert compare(a, b, seed=3) != compare(a, b, seed=4)


def test_students_interval_over_runs():
    assert seeds_interval([70, 72]) == pytest.approx((71 - 12.7062, 71 + 12.7062), 1e-5)
    half = 4.3027 * 1 / math.sqrt(3)
    assert seeds_interval([1, 2, 3]) == pytest.approx((2 - half, 2 + half), 1e-4)
    assert seeds_interval([70]) is None


def test_students_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(70, 0.5, (400, 3))
    hits = [low <= 70 <= high for low, high in map(seeds_interval, draws)]
    assert 0.92 <= np.mean(hits) <= 0.98


@pytest.mark.parametrize(
    'only_a, only_b, p',
    [(5, 1, 14 / 64), (1, 5, 14 / 64), (3, 3, 1), (10, 0, 2 / 1024), (0, 0, 1)],
)
def test_mcnemar_by_hand(only_a, only_b, p):
    result = compare(*with_counts(50, only_a, only_b, 100 - 50 - only_a - only_b))
    assert result.p == pytest.approx(p)
    assert result.difference == pytest.approx(only_a - only_b)
    assert result.low <= result.difference <= result.high
    assert result.test == MCNEMAR and result.p_runs is None


def test_the_paired_interval_is_that_of_scipy():
    a, b = with_counts(300, 60, 30, 110)
    expected = stats.bootstrap(
        (100.0 * a[0], 100.0 * b[0]),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        paired=True,
        method='percentile',
        n_resamples=5000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    result = compare(a, b)
    assert (result.low, result.high) == pytest.approx(expected, abs=0.3)
    # Pairing pays: without it the interval would be wider.
    alone = np.diff(bootstrap_interval(a)) ** 2 + np.diff(bootstrap_interval(b)) ** 2
    assert result.high - result.low < 0.8 * math.sqrt(alone[0])


@pytest.mark.parametrize('numbers', [(1, 1), (3, 3), (1, 2)])
def test_under_the_null_p_is_small_as_seldom_as_it_says(numbers):
    small = hits = 0
    for seed in range(400):
        both = runs(seed, sum(numbers), 300, 0.65)
        result = compare(both[: numbers[0]], both[numbers[0] :], resamples=1000)
        small += result.p < 0.05
        hits += result.low <= 0 <= result.high
    assert 0.01 <= small / 400 <= 0.08
    assert 0.92 <= hits / 400 <= 0.98


def test_the_bootstrap_p_agrees_with_the_normal_one():
    a, b = runs(0, 2, 2000, 0.645), runs(1, 3, 2000, 0.63)
    result = compare(a, b)
    difference = a.mean(0) - b.mean(0)
    z = difference.mean() / (difference.std() / math.sqrt(2000))
    assert result.test == BOOTSTRAP
    assert result.difference == pytest.approx(100 * difference.mean())
    assert result.p == pytest.approx(2 * stats.norm.sf(z), abs=0.02)
    assert 0.001 < result.p < 0.5
    other = compare(b, a)
    assert (other.difference, other.p) == pytest.approx(
        (-result.difference, result.p), 0.2
    )


def test_the_bootstrap_p_is_never_zero():
    result = compare(np.ones((2, 100), bool), np.zeros((2, 100), bool), resamples=999)
    assert result.p == 1 / 1000
    assert (result.difference, result.low, result.high) == (100, 100, 100)


def test_the_same_runs_do_not_differ():
    a = runs(0, 2, 100, 0.6)
    result = compare(a, a)
    assert (result.difference, result.low, result.high, result.p) == (0, 0, 0, 1)


def test_welch_over_runs():
    right = [60, 64, 65], [70, 71, 75, 76]
    a, b = (np.arange(100)[None] < np.array(row)[:, None] for row in right)
    # By hand: variances 7 and 26 / 3, so t = -10 / sqrt(7 / 3 + 26 / 12).
    error = 7 / 3 + 26 / 12
    freedom = error**2 / ((7 / 3) ** 2 / 2 + (26 / 12) ** 2 / 3)
    p = 2 * stats.t.sf(10 / math.sqrt(error), freedom)
    assert compare(a, b).p_runs == pytest.approx(p)


def test_images_may_be_sure_where_runs_are_not():
    """Runs so far apart that nothing is known of the next, on many images."""
    a = np.arange(5000)[None] < np.array([[3900], [3000]])
    b = np.arange(5000)[None] < np.array([[3200], [3300]])
    result = compare(a, b)
    assert result.p < 0.001
    assert result.p_runs > 0.5


def test_undefined_over_runs_is_none():
    a, b = np.arange(100)[None] < 60, np.arange(100)[None] < 70
    assert compare(a.repeat(2, 0), b).p_runs is None
    assert compare(a.repeat(2, 0), b.repeat(2, 0)).p_runs is None


def test_holm_by_hand_and_in_order():
    # Sorted .005 * 4, .01 * 3, .03 * 2, and .04 * 1, which may not fall below .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_a_single_value_and_none_is_above_one():
    assert holm([0.2]) == pytest.approx([0.2])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@pytest.mark.parametrize('value', [-0.1, 1.1, float('nan')])
def test_holm_takes_p_values_only(value):
    with pytest.raises(ConfigError, match='between 0 and 1'):
        holm([0.5, value])


GOOD = np.ones((1, 10), bool)


@pytest.mark.parametrize(
    'call, words',
    [
        (lambda: bootstrap_interval(GOOD[:, :1]), r'2 images.*\(1, 1\)'),
        (lambda: bootstrap_interval(GOOD[:0]), '1 run'),
        (lambda: bootstrap_interval(GOOD[0]), r'\(10,\)'),
        (lambda: bootstrap_interval(GOOD * 1.0), 'float64'),
        (lambda: bootstrap_interval([[True, False]]), 'list'),
        (lambda: bootstrap_interval(GOOD, level=95), 'level=95'),
        (lambda: bootstrap_interval(GOOD, resamples=0), 'resamples=0'),
        (lambda: compare(GOOD, GOOD[:, :9]), '10 and 9'),
        (lambda: compare(GOOD, GOOD.astype(int)), 'int64'),
        (lambda: compare(GOOD, GOOD, level=0), 'level=0'),
        (lambda: seeds_interval([70, float('nan')]), 'nan'),
        (lambda: seeds_interval([70, 71], level=1), 'level=1'),
    ],
)
def test_bad_input_is_said(call, words):
    with pytest.raises(ConfigError, match=words):
        call()
