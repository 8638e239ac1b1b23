"""Linear CKA against its kernel form and what it must not see."""

import json
import sys

import numpy as np
import pytest
from scipy.stats import ortho_group

from mmkd.analysis import cka_artifact, cka_matrix, linear_cka
from mmkd.errors import DataError


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    first = rng.normal(3.0, 1.0, (60, 5)) * [1, 2, 3, 4, 5]
    second = np.tanh(first @ rng.normal(size=(5, 7))) + rng.normal(size=(60, 7))
    return first, second


def by_kernels(first, second, debiased):
    """CKA from the N x N kernels."""
    n = len(first)
    kernels = [x @ x.T for x in (first, second)]
    if debiased:  # a sum over quadruples of samples, in closed form
        kernels = [k - np.diag(np.diag(k)) for k in kernels]

        def hsic(k, m):
            ones = np.ones(n)
            whole = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
            return np.trace(k @ m) + whole - 2 / (n - 2) * (ones @ k @ m @ ones)
    else:
        centre = np.eye(n) - 1 / n

        def hsic(k, m):
            return np.trace(k @ centre @ m @ centre)

    k, m = kernels
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize('debiased', [False, True])
def test_equals_the_kernel_form(pair, debiased, monkeypatch):
    # The package's name of the module is the function's.
    monkeypatch.setattr(sys.modules['mmkd.analysis.linear_cka'], 'BLOCK', 17)
    expected = by_kernels(*pair, debiased)
    assert 0.1 < expected < 0.9
    np.testing.assert_allclose(
        linear_cka(*pair, debiased=debiased), expected, rtol=1e-10
    )


@pytest.mark.parametrize('debiased', [False, True])
def test_sees_no_rotation_scale_shift_or_order(pair, debiased):
    first, second = pair
    value = linear_cka(first, second, debiased=debiased)
    turned = -3 * second @ ortho_group.rvs(7, random_state=0) + 100
    np.testing.assert_allclose(
        linear_cka(first, turned, debiased=debiased), value, rtol=1e-8
    )
    np.testing.assert_allclose(
        linear_cka(second, first, debiased=debiased), value, rtol=1e-10
    )
    assert linear_cka(second, turned, debiased=debiased) == pytest.approx(1)
    stretched = second * [9, 1, 1, 1, 1, 1, 1]
    assert abs(linear_cka(first, stretched, debiased=debiased) - value) > 0.01


def test_only_the_debiased_one_is_zero_for_independent_features():
    """The plain one is at C / (C + N), as the artifact says."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 300, 100))
    assert linear_cka(first, second) == pytest.approx(0.25, abs=0.01)
    assert linear_cka(first, second, debiased=True) == pytest.approx(0, abs=0.02)
    artifact, _ = cka_artifact({'a': first}, {'b': second}, 'noise')
    assert 'up to about 0.250 ' in artifact.about
    artifact, _ = cka_artifact({'a': first}, {'b': second}, 'noise', debiased=True)
    assert '0 on average' in artifact.about


def test_half_precision_far_from_zero_is_summed_in_double(tmp_path):
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(5000, 8)) + 500).astype(np.float16)
    features.tofile(tmp_path / 'x')
    mapped = np.memmap(tmp_path / 'x', np.float16, 'r', shape=features.shape)
    other = rng.normal(size=(5000, 3)) + features[:, :3]
    expected = linear_cka(features.astype(np.float64), other)
    assert linear_cka(mapped, other) == pytest.approx(expected, rel=1e-12)


def test_matrix_has_a_row_a_student_layer(pair):
    first, second = pair
    matrix = cka_matrix(
        {'a': first, 'b': second}, {'x': second, 'y': first, 'z': first}
    )
    assert matrix.shape == (2, 3)
    np.testing.assert_allclose(matrix[1, 0], 1)
    np.testing.assert_allclose(matrix[0, 1:], 1)
    np.testing.assert_allclose(matrix[[0, 1, 1], [0, 1, 2]], matrix[0, 0])


def test_artifact_says_what_was_measured(pair, tmp_path):
    first, second = pair
    student, teacher = {'layer1': first, 'pooled': second}, {'pooled': second}
    artifact, figure = cka_artifact(student, teacher, 'a and b on 60 images')
    path = artifact.write(tmp_path, figure)
    assert artifact.rows['pooled']['pooled'] == pytest.approx(1)
    assert 'a and b on 60 images' in artifact.title and 'N = 60' in artifact.about
    assert json.loads(path.read_text())['values']['samples'] == 60
    axis, bar = figure.axes
    assert axis.images[0].get_array().shape == (2, 1)
    assert [text.get_text() for text in axis.texts] == [
        f'{artifact.rows["layer1"]["pooled"]:.2f}',
        '1.00',
    ]
    assert 'CKA' in bar.get_ylabel()


def test_many_layers_hide_the_figures(pair):
    many = {f'layer{n}': pair[0] for n in range(15)}
    _, figure = cka_artifact(many, many, 'x')
    assert not figure.axes[0].texts


def test_what_makes_it_undefined_is_named(pair):
    first, second = pair
    constant = np.full((60, 3), 0.1, np.float32)
    with pytest.raises(DataError, match='teacher layer b is the same for all 60'):
        cka_matrix({'a': first}, {'ok': second, 'b': constant})
    with pytest.raises(DataError, match='of the same samples.* 59, 60'):
        linear_cka(first, second[1:])
    with pytest.raises(DataError, match='at least 4'):
        linear_cka(first[:3], second[:3], debiased=True)
    broken = first.copy()
    broken[7, 2] = np.inf
    with pytest.raises(DataError, match='student layer a .*not finite'):
        cka_matrix({'a': broken}, {'b': second})
