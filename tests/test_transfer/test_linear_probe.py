"""The fast protocol against scikit-learn's logistic regression, and its choice."""

import inspect

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from mmkd.errors import ConfigError, DataError
from mmkd.transfer.classifiers.held_out import split_held_out
from mmkd.transfer.classifiers.linear_probe import linear_probe
from mmkd.transfer.classifiers.logistic_regression import logistic_regression
from mmkd.transfer.classifiers.train_grid import Setting, train_grid

SHORT = dict(epochs=5)


def digits():
    """Return train, labels, val, labels of val."""
    features, labels = load_digits(return_X_y=True)
    features = features.astype(np.float32)
    return features[:900], labels[:900], features[900:], labels[900:]


def gaussian(seed, width, classes=20, train=2000, val=3000, distance=0.45):
    """Classes that overlap: none of the features is worth much alone."""
    generator = np.random.default_rng(seed)
    centres = distance * generator.standard_normal((classes, width))
    mixing = generator.standard_normal((width, width)) / np.sqrt(width)
    labels = generator.integers(classes, size=train + val)
    noise = generator.standard_normal((train + val, width))
    features = ((centres[labels] + noise) @ mixing).astype(np.float32)
    return features[:train], labels[:train], features[train:], labels[train:]


@pytest.mark.parametrize(
    'data',
    [digits(), gaussian(0, 64), gaussian(5, 128, train=600, distance=0.3)],
    ids=['digits', '64 features', 'few samples'],
)
def test_it_agrees_with_scikit_learn_within_half_a_point(data):
    train, labels, val, truth = data
    probe = linear_probe(dict(a=train), labels, dict(a=val))
    mask = split_held_out(labels, 0.2)
    decays = (1e-1, 1e-2, 1e-3, 1e-4)
    reference = logistic_regression(
        train, labels, val, weight_decays=decays, held_out=mask
    )
    accuracies = [
        100 * (answer.scores.argmax(1) == truth).mean() for answer in (probe, reference)
    ]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.5)
    assert 50 < accuracies[1] < 97  # where there is something to differ in


@pytest.fixture(scope='module')
def small():
    """Return two layers of train, labels, and the layers of val: one is of use."""
    train, labels, val, _ = gaussian(2, 24, classes=4, train=400, val=200)
    noise = np.random.default_rng(0).standard_normal((600, 7)).astype(np.float32)
    return (
        dict(noise=noise[:400], good=train),
        labels,
        dict(noise=noise[400:], good=val),
    )


def test_the_least_held_out_cross_entropy_chooses(small):
    train, labels, val = small
    probe = linear_probe(
        train,
        labels,
        val,
        learning_rates=(0.1, 1.0),
        weight_decays=(0.1, 0.01),
        held_out=0.3,
        seed=4,
    )
    assert len(probe.held_out) == 8
    losses = {s: figures.cross_entropy for s, figures in probe.held_out.items()}
    assert losses[probe.chosen] == min(losses.values())
    assert probe.chosen.layer == 'good'
    # The figures are those of classifiers that did not see the held-out part.
    mask = split_held_out(labels, 0.3, seed=4)
    grid = train_grid(train, labels, np.flatnonzero(~mask), list(losses), seed=4)
    for setting, classifier in grid.items():
        logits = classifier.scores(train[setting.layer][mask]).astype(np.float64)
        likely = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        expected = log_loss(labels[mask], likely)
        assert losses[setting] == pytest.approx(expected, rel=1e-4)
        right = (logits.argmax(1) == labels[mask]).mean()
        assert probe.held_out[setting].top1 == pytest.approx(100 * right)


def test_the_chosen_setting_is_trained_on_all_of_train(small):
    train, labels, val = small
    probe = linear_probe(train, labels, val, seed=4, **SHORT)
    every = np.arange(len(labels))
    (expected,) = train_grid(
        train, labels, every, [probe.chosen], epochs=5, seed=4
    ).values()
    assert (probe.scores == expected.scores(val[probe.chosen.layer])).all()
    assert probe.scores.shape == (200, 4) and probe.scores.dtype == np.float32


def test_val_has_no_say_in_the_choice(small):
    train, labels, val = small
    probe = linear_probe(train, labels, val, **SHORT)
    order = np.random.default_rng(0).permutation(200)
    moved = linear_probe(train, labels, {k: v[order] for k, v in val.items()}, **SHORT)
    assert (moved.chosen, moved.held_out) == (probe.chosen, probe.held_out)
    np.testing.assert_allclose(moved.scores, probe.scores[order], atol=1e-5)
    other = linear_probe(train, labels, {k: v[:3] * 9 for k, v in val.items()}, **SHORT)
    assert (other.chosen, other.held_out) == (probe.chosen, probe.held_out)
    # Nor could it have: its labels are nowhere among the arguments.
    arguments = list(inspect.signature(linear_probe).parameters)
    assert [a for a in arguments if 'val' in a or 'label' in a] == ['labels', 'val']


def test_of_equals_the_first_is_chosen(small):
    train, labels, val = small
    for names in (('a', 'b'), ('b', 'a')):
        layers = dict.fromkeys(names, train['good'])
        probe = linear_probe(layers, labels, dict.fromkeys(names, val['good']), **SHORT)
        assert probe.chosen.layer == names[0]
        twin = probe.chosen._replace(layer=names[1])
        assert probe.held_out[twin] == probe.held_out[probe.chosen]


def test_one_setting_holds_nothing_out():
    features = np.eye(3, dtype=np.float32)
    probe = linear_probe(
        dict(a=features),
        np.arange(3),
        dict(a=features),
        learning_rates=[0.5],
        weight_decays=[0.0],
        **SHORT,
    )
    assert probe.chosen == Setting('a', 0.5, 0.0) and probe.held_out == {}
    assert probe.scores.argmax(1).tolist() == [0, 1, 2]


def test_a_seed_repeats_and_another_draws_again(small):
    first, again, other = (linear_probe(*small, seed=s, **SHORT) for s in (0, 0, 1))
    assert (first.scores == again.scores).all() and first.held_out == again.held_out
    assert first.held_out != other.held_out


def test_a_setting_that_diverges_is_not_chosen(small):
    train, labels, val = small
    probe = linear_probe(
        train, labels, val, learning_rates=(1e6, 0.1), weight_decays=(0.1, 0.0), **SHORT
    )
    assert probe.chosen.lr == 0.1
    assert {s.weight_decay for s in probe.held_out if s.lr == 1e6} == {0.0}
    with pytest.raises(DataError, match='diverged'):
        linear_probe(
            train, labels, val, learning_rates=[1e6], weight_decays=[0.1], **SHORT
        )


@pytest.mark.parametrize('fraction', [0, 1, -0.5, 2])
def test_a_fraction_out_of_range_is_said(small, fraction):
    with pytest.raises(ConfigError, match=f'fraction={fraction}.*between 0 and 1'):
        linear_probe(*small, held_out=fraction)


def test_nothing_to_hold_out_is_said():
    features = dict(a=np.eye(3, dtype=np.float32))
    with pytest.raises(ConfigError, match='no class has two'):
        linear_probe(features, np.arange(3), features)
