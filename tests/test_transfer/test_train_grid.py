"""Classifiers trained side by side, against torch's own optimiser and alone."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmkd.errors import ConfigError, DataError
from mmkd.transfer.classifiers import train_grid as module
from mmkd.transfer.classifiers.train_grid import Setting, train_grid

GRID = [Setting('a', lr, decay) for lr in (0.1, 1.0) for decay in (0.1, 0.0)]


def problem(number=300, width=12, classes=4, seed=0):
    """Return features of Gaussian classes, far from standardised, and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(number) % classes
    features = generator.standard_normal((number, width))
    features += 1.5 * generator.standard_normal((classes, width))[labels]
    features = features * generator.uniform(0.1, 9, width) + 5
    return features.astype(np.float32), labels


def standardised(features):
    features = features.astype(np.float64)
    return (features - features.mean(0)) / features.std(0)


def by_torch(features, labels, setting, epochs):
    """Train on whole batches with autograd and torch's SGD, in float64."""
    inputs, truth = torch.from_numpy(standardised(features)), torch.from_numpy(labels)
    layer = torch.nn.Linear(inputs.shape[1], int(labels.max()) + 1).double()
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    groups = [
        dict(params=[layer.weight], weight_decay=setting.weight_decay),
        dict(params=[layer.bias]),
    ]
    optimizer = torch.optim.SGD(groups, lr=setting.lr, momentum=0.9)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(layer(inputs), truth).backward()
        optimizer.step()
        cosine.step()
    return layer.weight.detach().T.numpy(), layer.bias.detach().numpy()


def scores(classifiers, features):
    return {setting: c.scores(features) for setting, c in classifiers.items()}


@pytest.mark.parametrize('epochs', [1, 2, 7])
def test_steps_are_those_of_autograd_and_torch(epochs):
    features, labels = problem()
    # A batch of more than there are: its mean is over those that are there.
    trained = train_grid(
        dict(a=features), labels, np.arange(300), GRID, epochs=epochs, batch_size=1000
    )
    assert list(trained) == GRID
    for setting, classifier in trained.items():
        weight, bias = by_torch(features, labels, setting, epochs)
        np.testing.assert_allclose(classifier.weight, weight, atol=2e-5 * setting.lr)
        np.testing.assert_allclose(classifier.bias, bias, atol=2e-5 * setting.lr)


def test_batches_pass_over_all_samples_each_epoch(monkeypatch):
    seen = []
    step = module._Side.step

    def spied(self, batch, wanted, share):
        assert (wanted.argmax(1).numpy() == labels[batch.numpy()]).all()
        seen.append((batch.tolist(), share))
        step(self, batch, wanted, share)

    monkeypatch.setattr(module._Side, 'step', spied)
    features, labels = problem()
    rows = np.arange(1, 300, 3)
    train_grid(dict(a=features), labels, rows, GRID, epochs=2, batch_size=30)
    assert [len(batch) for batch, _ in seen] == [30, 30, 30, 10] * 2
    passes = [sum((batch for batch, _ in seen[i : i + 4]), []) for i in (0, 4)]
    assert all(sorted(each) == rows.tolist() for each in passes)
    assert passes[0] != passes[1]
    expected = [(1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)]
    assert [share for _, share in seen] == pytest.approx(expected)


def test_a_setting_gives_what_it_gives_alone():
    features, labels = problem()
    other, _ = problem(width=30, seed=1)
    both = dict(a=features, b=other)
    settings = [*GRID, *(setting._replace(layer='b') for setting in GRID)]
    rows = np.arange(250)
    trained = train_grid(both, labels, rows, settings, epochs=5, batch_size=64)
    assert list(trained) == settings
    for setting in settings:
        (alone,) = train_grid(
            both, labels, rows, [setting], epochs=5, batch_size=64
        ).values()
        for each, among in zip(alone, trained[setting]):
            np.testing.assert_allclose(among, each, rtol=1e-4, atol=1e-5)


def test_the_order_of_settings_and_rows_is_no_matter():
    features, labels = problem()
    both = dict(a=features, b=features[:, :5].copy())
    settings = [Setting('b', 0.1, 0), *GRID, Setting('b', 1, 0.1)]
    rows = np.random.default_rng(0).permutation(200)
    trained = train_grid(both, labels, rows, settings, epochs=3, batch_size=64)
    turned = train_grid(
        both, labels, np.arange(200), settings[::-1], epochs=3, batch_size=64
    )
    assert list(trained) == settings and list(turned) == settings[::-1]
    for setting in settings:
        np.testing.assert_allclose(
            trained[setting].weight, turned[setting].weight, atol=1e-5
        )


def test_a_seed_repeats_and_another_does_not():
    features, labels = problem()
    first, again, other = (
        train_grid(
            dict(a=features),
            labels,
            np.arange(300),
            GRID,
            epochs=2,
            batch_size=32,
            seed=seed,
        )
        for seed in (3, 3, 4)
    )
    for setting in GRID:
        assert (first[setting].weight == again[setting].weight).all()
        assert (first[setting].weight != other[setting].weight).any()


def test_torch_s_own_generator_is_left_alone():
    features, labels = problem()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    train_grid(dict(a=features), labels, np.arange(300), GRID, epochs=1)
    assert (torch.get_rng_state() == state).all()


def test_only_the_rows_are_used():
    features, labels = problem()
    rows = np.flatnonzero(np.arange(300) % 5 > 0)
    trained = train_grid(dict(a=features), labels, rows, GRID, epochs=3, batch_size=64)
    changed, wrong = features.copy(), labels.copy()
    changed[::5], wrong[::5] = np.nan, 1
    after = train_grid(dict(a=changed), wrong, rows, GRID, epochs=3, batch_size=64)
    for setting in GRID:
        for before, now in zip(trained[setting], after[setting]):
            assert (before == now).all()


@pytest.mark.parametrize('value', [0, 0.1, 1e4, 6e4])
@pytest.mark.parametrize('rounding', [0, 1e-7])
def test_a_constant_feature_counts_for_nothing(value, rounding):
    features, labels = problem()
    trained = train_grid(
        dict(a=features), labels, np.arange(300), GRID, epochs=5, batch_size=64
    )
    constant = value * (1 + rounding * (labels % 2))
    more = np.insert(features, 3, constant, axis=1)
    after = train_grid(
        dict(a=more), labels, np.arange(300), GRID, epochs=5, batch_size=64
    )
    elsewhere = np.insert(features, 3, -1e6, axis=1)
    for setting in GRID:
        expected = trained[setting].scores(features)
        given = after[setting].scores(elsewhere)
        np.testing.assert_allclose(given, expected, atol=1e-4)


def test_features_far_from_zero_keep_their_spread():
    features, labels = problem()
    small = standardised(features) * 0.5
    rows = np.arange(300)
    near, far = (
        scores(train_grid(dict(a=x), labels, rows, GRID, epochs=5), x)
        for x in (x.astype(np.float32) for x in (small, small + 1e4))
    )
    for setting in GRID:
        # float32 has steps of 0.001 at 1e4, so 0.2 % of this spread is lost.
        assert np.abs(near[setting] - far[setting]).max() < 0.02 * np.ptp(near[setting])


def test_moments_are_those_of_numpy_across_blocks(monkeypatch):
    monkeypatch.setattr('mmkd.transfer.classifiers.linear_classifier.ROWS', 64)
    features, labels = problem()
    rows = np.arange(0, 300, 2)
    (trained,) = train_grid(dict(a=features), labels, rows, GRID[:1], epochs=1).values()
    np.testing.assert_allclose(trained.mean, features[rows].mean(0), rtol=1e-5)
    np.testing.assert_allclose(trained.scale, 1 / features[rows].std(0), rtol=1e-5)
    whole = trained.scores(features)
    monkeypatch.setattr('mmkd.transfer.classifiers.linear_classifier.ROWS', 1000)
    np.testing.assert_allclose(trained.scores(features), whole, rtol=1e-5, atol=1e-5)


def test_scores_are_the_logits():
    features, labels = problem()
    (trained,) = train_grid(dict(a=features), labels, np.arange(300), GRID[:1]).values()
    expected = standardised(features) @ trained.weight.numpy() + trained.bias.numpy()
    given = trained.scores(features)
    assert given.dtype == np.float32 and given.shape == (300, 4)
    np.testing.assert_allclose(given, expected, atol=1e-4)


@pytest.mark.parametrize('dtype', [np.float16, np.float32])
def test_memory_mapped_features_are_read_and_left(dtype, tmp_path):
    features, labels = problem()
    features = features.astype(np.float16)  # what float32 and float64 hold exactly
    path = tmp_path / 'features.npy'
    np.save(path, features.astype(dtype))
    before, rows = path.read_bytes(), np.arange(200)
    mapped = np.load(path, mmap_mode='c')
    trained = train_grid(dict(a=mapped), labels, rows, GRID, epochs=3, batch_size=64)
    expected = train_grid(
        dict(a=features.astype(np.float32)), labels, rows, GRID, epochs=3, batch_size=64
    )
    for setting in GRID:
        np.testing.assert_array_equal(
            trained[setting].scores(mapped), expected[setting].scores(features)
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize('dtype', [np.int64, np.int32, np.uint8])
def test_labels_of_any_integer_type(dtype):
    features, labels = problem()
    rows = np.arange(300)
    trained = train_grid(
        dict(a=features), labels.astype(dtype), rows, GRID[:1], epochs=2
    )
    (expected,) = train_grid(
        dict(a=features), labels, rows, GRID[:1], epochs=2
    ).values()
    assert (trained[GRID[0]].weight == expected.weight).all()


def test_a_class_without_rows_is_never_likely():
    features, labels = problem()
    rows = np.flatnonzero(labels != 2)
    (trained,) = train_grid(dict(a=features), labels, rows, GRID[:1]).values()
    assert trained.weight.shape == (12, 4)
    assert (trained.scores(features).argmax(1) != 2).all()


def test_a_setting_that_diverges_is_left_out_and_harms_none():
    features, labels = problem()
    wild = [Setting('a', 1e6, 0.1), Setting('a', math.inf, 0)]
    rows = np.arange(300)
    trained = train_grid(
        dict(a=features),
        labels,
        rows,
        [wild[0], *GRID, wild[1]],
        epochs=9,
        batch_size=64,
    )
    assert list(trained) == GRID
    expected = train_grid(dict(a=features), labels, rows, GRID, epochs=9, batch_size=64)
    for setting in GRID:
        np.testing.assert_allclose(
            trained[setting].weight, expected[setting].weight, atol=1e-5
        )


def test_all_diverged_is_said():
    features, labels = problem()
    wild = [Setting('a', 1e6, 0.1), Setting('a', 1e5, 1)]
    with pytest.raises(DataError, match='^every linear classifier.*lower learning'):
        train_grid(dict(a=features), labels, np.arange(300), wild)


@pytest.mark.parametrize('name', ['epochs', 'batch_size'])
@pytest.mark.parametrize('value', [0, -3])
def test_numbers_out_of_range_are_said(name, value):
    features, labels = problem()
    with pytest.raises(ConfigError, match=f'{name}={value}.*at least 1'):
        train_grid(dict(a=features), labels, np.arange(300), GRID, **{name: value})


@pytest.mark.parametrize('number, epochs', [(300, 50), (25600, 20), (1, 500)])
def test_few_samples_get_more_epochs(monkeypatch, number, epochs):
    steps = []
    monkeypatch.setattr(module._Side, 'step', lambda *args: steps.append(args[-1]))
    features = np.zeros((number, 1), np.float32)
    labels = np.zeros(number, int)
    train_grid(dict(a=features), labels, np.arange(number), GRID, batch_size=30)
    assert len(steps) == epochs * -(-number // 30)
    assert steps[0] == 1 and steps[-1] < 1e-4
