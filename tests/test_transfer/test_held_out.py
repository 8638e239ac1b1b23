"""What is held out of each class."""

import numpy as np
import pytest

from mmkd.errors import ConfigError
from mmkd.transfer.classifiers.held_out import split_held_out


def test_every_class_gives_its_part():
    labels = np.repeat([3, 0, 7, 5, 9], [100, 25, 2, 1, 10])
    mask = split_held_out(labels, fraction=0.2)
    given = {label: int(mask[labels == label].sum()) for label in (3, 0, 7, 5, 9)}
    assert given == {3: 20, 0: 5, 7: 1, 5: 0, 9: 2}


def test_every_class_keeps_a_sample():
    mask = split_held_out(np.array([0, 0, 1, 1, 1]), fraction=0.99)
    assert mask.sum() == 3 and not mask[:2].all() and not mask[2:].all()


def test_a_seed_repeats():
    labels = np.arange(200) % 4
    assert (split_held_out(labels) == split_held_out(labels)).all()
    assert (split_held_out(labels) != split_held_out(labels, seed=1)).any()


def test_the_draw_is_spread_over_the_class():
    drawn = sum(
        split_held_out(np.zeros(40, int), 0.25, seed=seed) for seed in range(40)
    )
    assert drawn.sum() == 400 and drawn.min() > 0


@pytest.mark.parametrize('fraction', [0, 1, -0.1])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ConfigError, match='between 0 and 1'):
        split_held_out(np.zeros(10, int), fraction)


def test_nothing_to_hold_out():
    with pytest.raises(ConfigError, match='no class has two'):
        split_held_out(np.arange(5))
