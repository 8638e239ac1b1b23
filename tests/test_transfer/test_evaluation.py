"""Probing several networks: what is a run, and what is refused before the work."""

import copy

import numpy as np
import pytest
import torch

from mmkd.errors import CheckpointError, ConfigError, DataError
from mmkd.transfer import (
    Entry,
    Network,
    Pixels,
    Protocol,
    Target,
    cached_features,
    evaluate,
    linear_probe,
    load_target,
    subset,
)
from mmkd.transfer.classifiers import linear_probe as module
from mmkd.transfer.classifiers.held_out import split_held_out
from mmkd.transfer.classifiers.logistic_regression import logistic_regression
from mmkd.transfer.classifiers.nearest_neighbours import nearest_neighbours

QUICK = dict(learning_rates=(0.1, 1.0), weight_decays=(1e-2,), epochs=5)


@pytest.fixture(scope='module')
def digits():
    """A part of the digits."""
    whole = load_target('digits')
    return Target(
        'digits', subset(whole.train, 120), subset(whole.val, 60), whole.classes
    )


@pytest.fixture
def config(toy_config, tmp_path):
    """The path of a small classifier's config."""
    path = tmp_path / 'toy.py'
    toy_config.dump(path)
    return str(path)


@pytest.fixture
def save(toy_config, tmp_path):
    """Saves such a classifier; gives the file's path."""

    def save(name='net', seed=5, config=toy_config):
        path = tmp_path / f'{name}.pth'
        torch.save(Network(config, seed=seed).model.state_dict(), path)
        return str(path)

    return save


@pytest.fixture
def images(monkeypatch):
    """How many images networks were shown at once, call by call."""
    shown = []
    for kind in (Network, Pixels):
        features = kind.features

        def spied(self, images, layers, features=features):
            shown.append(len(images))
            return features(self, images, layers)

        monkeypatch.setattr(kind, 'features', spied)
    return shown


def probe(entries, target, tmp_path, **changes):
    protocol = Protocol(**{**QUICK, **changes})
    return evaluate(entries, target, protocol, cache=tmp_path / 'cache', batch_size=60)


def same(a, b):
    arrays = ('top1', 'right', 'right5')
    return all((getattr(a, name) == getattr(b, name)).all() for name in arrays) and (
        (a.chosen, a.held_out, a.width) == (b.chosen, b.held_out, b.width)
    )


def features_of(network, target, tmp_path):
    return [
        cached_features(network, part, ['pooled'], tmp_path / 'by hand')['pooled']
        for part in (target.train, target.val)
    ]


def labels_of(part):
    return np.array([part.get_data_info(row)['gt_label'] for row in range(len(part))])


def test_a_run_is_what_the_probe_says_of_val(digits, config, save, tmp_path):
    path = save()
    (run,) = probe([Entry('net', path, config)], digits, tmp_path, seeds=[3])['net']
    train, val = features_of(Network(config, path), digits, tmp_path)
    labels, truth = labels_of(digits.train), labels_of(digits.val)
    expected = linear_probe(
        dict(pooled=train), labels, dict(pooled=val), seed=3, **QUICK
    )
    assert (run.checkpoint, run.seed, run.width) == (path, 3, 64)
    assert (run.chosen, run.held_out) == (expected.chosen, expected.held_out)
    np.testing.assert_array_equal(run.top1, expected.scores.argmax(1))
    np.testing.assert_array_equal(run.right, run.top1 == truth)
    likelier = expected.scores > expected.scores[range(60), truth][:, None]
    np.testing.assert_array_equal(run.right5, likelier.sum(1) < 5)
    assert 0 < run.right.sum() < run.right5.sum() < 60


def test_checkpoints_of_one_name_are_runs(digits, config, toy_config, save, tmp_path):
    paths = [save(name, seed) for seed, name in enumerate('xyz')]
    entries = [Entry(name, path, config) for name, path in zip(['a', 'b', 'a'], paths)]
    results = probe(entries, digits, tmp_path)
    assert list(results) == ['a', 'b']
    assert [run.checkpoint for run in results['a']] == [paths[0], paths[2]]
    assert [run.checkpoint for run in results['b']] == [paths[1]]
    assert not same(*results['a'])
    (alone,) = probe([entries[2]], digits, tmp_path)['a']
    assert same(alone, results['a'][1])


def test_seeds_are_runs_and_random_networks_are_others(
    digits, config, toy_config, save, tmp_path, images
):
    path = save()
    entries = [Entry('net', path, config), Entry('random', 'random', config)]
    results = probe(entries, digits, tmp_path, seeds=(0, 2))
    assert [run.seed for runs in results.values() for run in runs] == [0, 2, 0, 2]
    # The trained network is run once, the random ones are two.
    assert sum(images) == len(entries) + 3 * 180
    for seed, run in zip((0, 2), results['random']):
        train, val = features_of(Network(config, seed=seed), digits, tmp_path)
        labels = labels_of(digits.train)
        expected = linear_probe(
            dict(pooled=train), labels, dict(pooled=val), seed=seed, **QUICK
        )
        np.testing.assert_array_equal(run.top1, expected.scores.argmax(1))
    for name, runs in results.items():
        assert not same(*runs), name


def test_the_cache_gives_the_same_without_a_pass(digits, config, tmp_path, images):
    entries = [Entry('random', 'random', config), Entry('pixels', 'pixels', config)]
    first = probe(entries, digits, tmp_path)
    assert sum(images) == 2 + 2 * 180
    images.clear()
    again = probe(entries, digits, tmp_path)
    assert images == [1, 1]  # to see that they fit
    assert all(same(*first[name], *again[name]) for name in first)
    assert first['pixels'][0].width == 3 * 32 * 32


def test_a_stop_while_probing_loses_nothing(
    digits, config, tmp_path, images, monkeypatch
):
    entries = [Entry('random', 'random', config), Entry('pixels', 'pixels', config)]
    expected = probe(entries, digits, tmp_path / 'undisturbed')
    train_grid, calls = module.train_grid, []

    def stopped(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:  # the second network's grid
            raise KeyboardInterrupt
        return train_grid(*args, **kwargs)

    monkeypatch.setattr(module, 'train_grid', stopped)
    with pytest.raises(KeyboardInterrupt):
        probe(entries, digits, tmp_path)
    images.clear()
    results = probe(entries, digits, tmp_path)
    assert images == [1, 1]
    assert all(same(*expected[name], *results[name]) for name in expected)


def test_references_are_rows_of_their_own(digits, config, tmp_path):
    names = ['logistic_regression', 'nearest_neighbours']
    entries = [Entry('random', 'random', config), Entry('pixels', 'pixels', config)]
    results = probe(entries, digits, tmp_path, references=names, held_out=0.3)
    assert list(results) == [
        f'{name}{reference}'
        for name in ('random', 'pixels')
        for reference in ('', ', logistic regression', ', nearest neighbours')
    ]
    train, val = features_of(Pixels(config), digits, tmp_path)
    labels = labels_of(digits.train)
    mask = split_held_out(labels, 0.3)
    for name, answer in (
        (
            'logistic regression',
            logistic_regression(
                train, labels, val, weight_decays=[1e-2], held_out=mask
            ),
        ),
        ('nearest neighbours', nearest_neighbours(train, labels, val, held_out=mask)),
    ):
        (run,) = results[f'pixels, {name}']
        assert run.chosen == answer.chosen and run.held_out == answer.held_out
        np.testing.assert_array_equal(run.top1, answer.scores.argmax(1))


def test_references_with_fewer_images_than_neighbours(digits, config, tmp_path):
    few = digits._replace(train=subset(digits.train, 40))
    entries = [Entry('pixels', 'pixels', config)]
    results = probe(entries, few, tmp_path, references=['nearest_neighbours'])
    (run,) = results['pixels, nearest neighbours']
    assert list(run.held_out) == [1, 5, 10, 20]


@pytest.mark.parametrize(
    'second, changes, error, words',
    [
        ('missing.pth', {}, CheckpointError, 'missing.pth'),
        ('OTHER', {}, CheckpointError, 'does not fit second'),
        ('random@EMPTY', {}, ConfigError, 'has no model'),
        ('pixels', dict(layers=['pooled', 'logits']), ConfigError, 'no layers'),
        ('random', dict(layers=['backbone.layer9']), ConfigError, 'backbone.layer4'),
        ('random', dict(input_size=0), ConfigError, 'input_size=0'),
        ('random@mmpretrain::resnet/resnet18_8xb32_in1k.py',
         dict(layers=['head.fc', 'backbone.layer3.0.conv2', 'head.x']),
         ConfigError, 'head.x'),
    ],
)  # fmt: skip
def test_a_misfit_is_said_before_the_work(
    digits, config, toy_config, save, tmp_path, images, second, changes, error, words
):
    if second == 'OTHER':
        other = copy.deepcopy(toy_config)
        other.model.backbone.stem_channels = 16
        second = save('other', config=other)
    (tmp_path / 'empty.py').write_text('x = 1\n')
    second, _, own = second.replace('EMPTY', str(tmp_path / 'empty.py')).partition('@')
    entries = [
        Entry('first', save(), config),
        Entry('second', second, own or config),
    ]
    with pytest.raises(error, match=words) as caught:
        probe(entries, digits, tmp_path, **changes)
    assert len(str(caught.value).splitlines()) == 1
    assert set(images) <= {1}
    assert not (tmp_path / 'cache').exists()


def test_too_few_to_hold_out_is_said_before_the_work(digits, config, tmp_path, images):
    few = digits._replace(train=subset(digits.train, 10))
    entries = [Entry('random', 'random', config)]
    with pytest.raises(ConfigError, match='no class has two'):
        probe(entries, few, tmp_path)
    assert not images
    # One setting needs no choice.
    (run,) = probe(entries, few, tmp_path, learning_rates=[1.0])['random']
    assert run.held_out == {}


def test_damaged_images_are_said(digits, config, tmp_path):
    class Damaged(type(digits.val)):
        def get_data_info(self, index):
            return dict(super().get_data_info(index), img=np.zeros((4, 4)))

    damaged = digits._replace(train=Damaged('train'))
    with pytest.raises(DataError, match='must be uint8'):
        probe([Entry('random', 'random', config)], damaged, tmp_path)


def test_runs_of_a_method_and_seeds_of_the_probe_do_not_mix(digits, tmp_path):
    entries = [Entry('a', 'x.pth', 'c.py'), Entry('a', 'y.pth', 'c.py')]
    with pytest.raises(ConfigError, match='a has several checkpoints and 2 probe'):
        probe(entries, digits, tmp_path, seeds=(0, 1))


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(references=['svm']), 'unknown reference .svm.; known: logistic_regr'),
        (dict(references=['nearest_neighbours'], layers=['a', 'b']), 'one layer.*a, b'),
        (dict(layers=[]), 'layers is empty'),
        (dict(learning_rates=()), 'learning_rates is empty'),
        (dict(learning_rates=(0.1, 0)), r'learning_rates=\[0.1, 0.0\]'),
        (dict(learning_rates=[float('nan')]), 'must be above 0'),
        (dict(weight_decays=[-1e-3]), r'weight_decays=\[-0.001\] at least 0'),
        (dict(weight_decays=[float('inf')]), 'weight_decays'),
        (dict(weight_decays=[]), 'weight_decays is empty'),
        (dict(seeds=[]), 'seeds is empty'),
        (dict(seeds=[1, 1]), r'seeds=\[1, 1\].*once'),
        (dict(seeds=[-1]), 'from 0 on'),
        (dict(held_out=0), 'held_out=0.*between 0 and 1'),
        (dict(held_out=float('nan')), 'held_out=nan'),
        (dict(epochs=0), 'epochs=0'),
    ],
)
def test_a_protocol_out_of_range_is_said(changes, words):
    with pytest.raises(ConfigError, match=words):
        Protocol(**changes)


def test_the_size_of_the_grid():
    assert Protocol().grid == 12 and Protocol().holds_out
    assert Protocol(layers=['a', 'b'], learning_rates=[1, 0.1, 0.1]).grid == 16
    single = dict(learning_rates=[1.0], weight_decays=[0.0])
    assert Protocol(**single).grid == 1 and not Protocol(**single).holds_out
    assert Protocol(**single, references=['nearest_neighbours']).holds_out
