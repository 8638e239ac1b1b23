"""The gap of logit correlations on logits whose correlations are known."""

import numpy as np
import pytest

from mmkd.analysis import logit_gap, logit_gap_artifact, mean_gaps, relative
from mmkd.errors import DataError

NAMES = ('cat', 'dog', 'car')


@pytest.fixture
def logits():
    """Teacher: cat and dog as one; student: cat against dog; car unrelated to both."""
    a, b = np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, -1])
    teacher = np.stack([a, 2 * a + 5, b], 1)
    student = np.stack([a, -a, 10 * b], 1)
    return student, teacher


def test_gap_is_student_less_teacher(logits):
    gap = logit_gap(*logits, NAMES)
    np.testing.assert_allclose(gap, [[0, -2, 0], [-2, 0, 0], [0, 0, 0]], atol=1e-12)
    overall, per_class = mean_gaps(gap)
    np.testing.assert_allclose(per_class, [1, 1, 0], atol=1e-12)
    assert overall == pytest.approx(2 / 3)  # one of three pairs has 2


def test_what_probabilities_do_not_see_is_left_out_of_relative_logits(logits):
    """A number added to all logits of a sample changes no probability."""
    student, teacher = logits
    shifted = student + np.array([[5.0], [-7], [11], [2]])
    assert np.abs(logit_gap(shifted, student, NAMES)).max() > 0.5
    gap = logit_gap(relative(shifted), relative(student), NAMES)
    np.testing.assert_allclose(gap, 0, atol=1e-12)
    gap = logit_gap(relative(student), relative(teacher), NAMES)
    assert np.abs(gap).max() > 0.5


def test_artifact_lists_the_largest_gaps_first(tmp_path):
    rng = np.random.default_rng(0)
    names = [f'class {n}' for n in range(14)]
    teacher = rng.normal(size=(500, 14))
    student = teacher.copy()
    student[:, 9] = teacher[:, 2] + 0.1 * rng.normal(size=500)
    artifact, figure = logit_gap_artifact(student, teacher, names, 'made-up')
    assert artifact.write(tmp_path, figure).exists()
    first, second, third = list(artifact.rows)[:3]
    assert (first, second, third) == ('all classes', 'class 9', 'class 2')
    row = artifact.rows['class 9']
    assert row['with'] == 'class 2' and row['largest (relative)'] > 0.8
    gap = logit_gap(student, teacher, names)
    assert row['mean gap, logits'] == mean_gaps(gap)[1][9]
    assert len(artifact.rows) == 11
    assert artifact.rows['all classes']['mean gap, logits'] == mean_gaps(gap)[0]
    axis, right, bar = figure.axes
    np.testing.assert_array_equal(axis.images[0].get_array(), gap)
    # The largest of them is about 1.1.
    assert axis.images[0].get_clim() == right.images[0].get_clim() == (-2, 2)
    assert 'relative logits: mean gap' in right.get_title()
    assert [tick.get_text() for tick in axis.get_xticklabels()] == names
    assert 'student - teacher' in bar.get_ylabel()


def test_many_classes_are_numbered():
    student, teacher = np.random.default_rng(0).normal(size=(2, 50, 60))
    names = [f'c{n}' for n in range(60)]
    _, figure = logit_gap_artifact(student, teacher, names, 'noise')
    axis = figure.axes[0]
    assert len(axis.get_xticks()) < 20 and 'number' in axis.get_xlabel()


def test_refusals(logits):
    student, teacher = logits
    flat = student.copy()
    flat[:, 1] = 0.3
    with pytest.raises(DataError, match="the student's logit of 'dog' is constant"):
        logit_gap(flat, teacher, NAMES)
    teacher[0, 2] = np.nan
    with pytest.raises(DataError, match="the teacher's logit of 'car'"):
        logit_gap(student, teacher, NAMES)
    with pytest.raises(DataError, match='same samples and the 3 classes'):
        logit_gap(student[:, :2], teacher, NAMES)
    with pytest.raises(DataError, match='two samples and two classes'):
        logit_gap(student[:1], teacher[:1], NAMES)
