"""Holm's correction by hand."""

import pytest

from mmkd.errors import ConfigError
from mmkd.transfer.holm import holm


def test_by_hand_and_in_order():
    # Sorted .005 * 4, .01 * 3, .03 * 2, and .04 * 1, which may not fall below .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_is_left_as_it_is_and_none_is_above_one():
    assert holm([0.2]) == pytest.approx([0.2])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@pytest.mark.parametrize('value', [-0.1, 1.1, float('nan')])
def test_no_p_value(value):
    with pytest.raises(ConfigError, match='between 0 and 1'):
        holm([0.5, value])
