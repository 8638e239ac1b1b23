"""The references against scikit-learn and torch, on the digits of scikit-learn."""

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier

from mmkd.errors import ConfigError, DataError
from mmkd.transfer.classifiers.held_out import split_held_out
from mmkd.transfer.classifiers.logistic_regression import logistic_regression
from mmkd.transfer.classifiers.nearest_neighbours import nearest_neighbours

DECAYS = (1e-1, 1e-2, 1e-3)
BOTH = pytest.mark.parametrize('method', [logistic_regression, nearest_neighbours])


@pytest.fixture(scope='module')
def digits():
    """Return train, labels, val, labels of val; some features are constant."""
    features, labels = load_digits(return_X_y=True)
    features = features.astype(np.float32)
    return features[:1200], labels[:1200], features[1200:], labels[1200:]


def standardised(train, val):
    mean, std = train.mean(0), train.std(0)
    return [
        np.where(std > 0, (x - mean) / np.where(std > 0, std, 1), 0)
        for x in (train, val)
    ]


@BOTH
def test_accuracy_and_form(digits, method):
    train, labels, val, truth = digits
    answer = method(train, labels, val)
    assert answer.scores.shape == (len(val), 10) and answer.scores.dtype == np.float32
    assert (answer.scores.argmax(1) == truth).mean() > 0.9
    assert all(0 <= figures.top1 <= 100 for figures in answer.held_out.values())


@pytest.mark.parametrize('k', [1, 5, 10])
def test_neighbours_are_those_of_scikit_learn(digits, k):
    train, labels, val, _ = digits
    mask = split_held_out(labels)
    answer = nearest_neighbours(train, labels, val, ks=[k])
    stock = KNeighborsClassifier(k, metric='cosine', algorithm='brute')
    part = stock.fit(train[~mask], labels[~mask]).score(train[mask], labels[mask])
    assert answer.held_out[k].top1 == pytest.approx(100 * part)
    assert answer.held_out[k].cross_entropy is None
    stock.fit(train, labels)
    np.testing.assert_allclose(answer.scores, stock.predict_proba(val), atol=1e-6)
    np.testing.assert_array_equal(answer.scores.argmax(1), stock.predict(val))


def test_logistic_regression_is_that_of_scikit_learn(digits):
    train, labels, val, _ = digits
    mask = split_held_out(labels)
    answer = logistic_regression(train, labels, val, weight_decays=DECAYS)
    x, y = standardised(train, val)
    for decay in DECAYS:
        strength = 1 / (decay * (~mask).sum())
        stock = LogisticRegression(C=strength, tol=1e-6, max_iter=5000)
        part = stock.fit(x[~mask], labels[~mask]).score(x[mask], labels[mask])
        right, loss = answer.held_out[decay]
        assert right == pytest.approx(100 * part, abs=0.9)  # a sample
        expected = log_loss(labels[mask], stock.predict_proba(x[mask]))
        assert loss == pytest.approx(expected, rel=1e-3)
    strength = 1 / (answer.chosen * len(x))
    stock = LogisticRegression(C=strength, tol=1e-6, max_iter=5000)
    expected = stock.fit(x, labels).predict(y)
    assert (answer.scores.argmax(1) == expected).mean() > 0.998


def test_the_least_cross_entropy_is_chosen(digits):
    train, labels, val, _ = digits
    answer = logistic_regression(train, labels, val, weight_decays=(1.0, 1e-2, 1e-9))
    assert answer.chosen == 1e-2
    losses = {
        decay: figures.cross_entropy for decay, figures in answer.held_out.items()
    }
    assert losses[1e-2] < min(losses[1.0], losses[1e-9])


@pytest.mark.parametrize('classes', [2, 3, 10])
def test_a_weight_decay_is_that_of_a_mean_loss(digits, classes):
    train, labels, val, _ = digits
    kept = labels < classes
    train, labels = train[kept], labels[kept]
    x, y = (torch.from_numpy(part).double() for part in standardised(train, val))
    layer = torch.nn.Linear(x.shape[1], classes).double()
    optimizer = torch.optim.LBFGS(
        layer.parameters(), 1, 500, line_search_fn='strong_wolfe'
    )

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(x), torch.from_numpy(labels))
        loss = loss + 0.02 / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = layer(y).detach().numpy()
    answer = logistic_regression(train, labels, val, weight_decays=[0.02]).scores
    # Softmax leaves the sum of the logits free.
    expected, answer = (s - s.mean(1, keepdims=True) for s in (expected, answer))
    assert np.abs(answer - expected).max() < 0.02 * np.abs(expected).max()


@BOTH
def test_val_has_no_say_in_the_choice(digits, method):
    train, labels, val, _ = digits
    answer = method(train, labels, val)
    order = np.random.default_rng(0).permutation(len(val))
    moved = method(train, labels, val[order])
    assert moved[1:] == answer[1:]
    np.testing.assert_allclose(moved.scores, answer.scores[order], atol=1e-4)
    other = method(train, labels, np.random.default_rng(0).random(val.shape))
    assert other[1:] == answer[1:]


@BOTH
def test_the_held_out_part_chooses(digits, method):
    train, labels, val, _ = digits
    mask = split_held_out(labels, 0.3, seed=5)
    answer = method(train, labels, val, held_out=mask)
    same = method(train, labels, val, held_out=np.flatnonzero(mask))
    assert same[1:] == answer[1:]
    # Labels held out that are all wrong are not learnt, so none is predicted.
    wrong = np.where(mask, (labels + 1) % 10, labels)
    figures = method(train, wrong, val, held_out=mask).held_out.values()
    assert max(figure.top1 for figure in figures) < 10


def test_the_best_k_of_the_held_out_part_is_chosen():
    """One flipped label in each cluster of 6 rays misleads k=1, not k=5."""
    angles = np.concatenate([np.linspace(0, 0.5, 60), np.linspace(1, 1.5, 60)])
    train = np.stack([np.cos(angles), np.sin(angles)], 1)
    labels = np.repeat([0, 1], 60)
    labels[2::6] ^= 1
    mask = np.arange(120) % 6 == 3  # each beside a flipped one, and right
    train[mask] = train[np.flatnonzero(mask) - 1]
    answer = nearest_neighbours(train, labels, train[:1], ks=(1, 5), held_out=mask)
    assert {k: figures.top1 for k, figures in answer.held_out.items()} == {1: 0, 5: 100}
    assert answer.chosen == 5


def test_equal_votes_go_to_the_smallest_label():
    train = np.array([[1, 0.1], [1, 0], [0, 1], [0.1, 1]])
    answer = nearest_neighbours(
        train, np.array([1, 0, 1, 0]), np.array([[1, 0.08]]), ks=[2], held_out=[3]
    )
    assert answer.scores.tolist() == [[0.5, 0.5]]


def test_a_constant_feature_counts_for_nothing(digits):
    train, labels, val, _ = digits
    answer = logistic_regression(train, labels, val, weight_decays=[1e-2])
    more = logistic_regression(
        np.insert(train, 0, 0.1, axis=1),
        labels,
        np.insert(val, 0, 1e6, axis=1),
        weight_decays=[1e-2],
    )
    np.testing.assert_allclose(more.scores, answer.scores, rtol=1e-3, atol=1e-3)


@BOTH
@pytest.mark.parametrize('dtype', [np.float16, np.float32])
def test_memory_mapped_features_are_read_and_left(digits, method, dtype, tmp_path):
    train, labels, val, _ = digits
    np.save(tmp_path / 'train.npy', train.astype(dtype))
    np.save(tmp_path / 'val.npy', val.astype(dtype))
    before = (tmp_path / 'train.npy').read_bytes()
    mapped = [np.load(tmp_path / f'{n}.npy', mmap_mode='r') for n in ('train', 'val')]
    answer = method(mapped[0], labels, mapped[1])
    # The digits are whole numbers up to 16, so float16 holds them as they are.
    np.testing.assert_array_equal(answer.scores, method(train, labels, val).scores)
    assert (tmp_path / 'train.npy').read_bytes() == before


def test_a_class_without_samples(digits):
    train, labels, val, _ = digits
    kept = labels != 4
    answer = logistic_regression(train[kept], labels[kept], val, weight_decays=[1e-2])
    assert (answer.scores[:, 4] == -np.inf).all()
    assert np.isfinite(np.delete(answer.scores, 4, axis=1)).all()
    answer = nearest_neighbours(train[kept], labels[kept], val)
    assert (answer.scores[:, 4] == 0).all()


def test_too_few_iterations_are_said(digits, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmkd.transfer.classifiers.logistic_regression.print_log',
        lambda text, **kwargs: messages.append(text),
    )
    logistic_regression(*digits[:3], weight_decays=[1e-2])
    assert not messages
    logistic_regression(*digits[:3], weight_decays=[1e-2], max_iter=2)
    assert len(messages) == 2  # to choose, and for all of train
    assert 'weight decay 0.01' in messages[0] and 'converge' in messages[0]


@pytest.mark.parametrize(
    'method, options, width, more',
    [
        # The full matrix of similarities would be 480 MB; CELLS allow 128 MiB.
        (nearest_neighbours, dict(ks=(1, 50)), 32, 2**27 + 2**25),
        (logistic_regression, dict(weight_decays=[1e-2], max_iter=3), 256, 2**23),
    ],
)
def test_memory_is_bounded(method, options, width, more):
    generator = np.random.default_rng(0)
    features = generator.standard_normal((30000, width), np.float32).astype(np.float16)
    labels = np.arange(30000) % 10
    tracemalloc.start()
    method(features, labels, features[:4000], **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    copies = 2 * 4 * (features.size + 4000 * width)
    assert peak < copies + more


@BOTH
@pytest.mark.parametrize(
    'change, error, words',
    [
        (dict(val=np.zeros((5, 3), np.float32)), DataError, 'one width'),
        (dict(val=np.zeros((0, 64), np.float32)), DataError, r'val \(0, 64\)'),
        (dict(train=np.zeros((1200, 8, 8))), DataError, 'one width'),
        (dict(labels=np.zeros(7, int)), DataError, r'labels \(7,\)'),
        (dict(labels=np.zeros(1200)), DataError, 'float64'),
        (dict(labels=np.zeros(1200, int)), DataError, r'two or more.*\[0\]'),
        (dict(labels=np.arange(1200) % 3 - 1), DataError, r'from 0.*-1'),
        (dict(train=np.full((1200, 64), np.nan)), DataError, 'of train hold NaN'),
        (dict(val=np.full((5, 64), -np.inf)), DataError, 'of val hold NaN'),
        (dict(held_out=np.zeros(3, bool)), ConfigError, '1200 training samples'),
        (dict(held_out=[1200]), ConfigError, '1200 training samples'),
        (dict(held_out=np.zeros(1200, bool)), ConfigError, 'leaves 0 samples'),
        (dict(held_out=np.ones(1200, bool)), ConfigError, 'and 0 to fit'),
    ],
)
def test_bad_input_is_said(digits, method, change, error, words):
    given = dict(zip(('train', 'labels', 'val'), digits), **change)
    with pytest.raises(error, match=words):
        method(**given)


@pytest.mark.parametrize(
    'method, options, words',
    [
        (nearest_neighbours, dict(ks=()), 'ks='),
        (nearest_neighbours, dict(ks=(0,)), 'ks='),
        (nearest_neighbours, dict(ks=(1.5,)), 'ks='),
        (nearest_neighbours, dict(ks=(5, 1190)), '1190 neighbours'),
        (logistic_regression, dict(weight_decays=()), 'weight_decays='),
        (logistic_regression, dict(weight_decays=(-1,)), 'weight_decays='),
        (logistic_regression, dict(weight_decays=(float('nan'),)), 'weight_decays='),
    ],
)
def test_bad_settings_are_said(digits, method, options, words):
    with pytest.raises(ConfigError, match=words):
        method(*digits[:3], **options)
