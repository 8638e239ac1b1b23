"""Calibration and agreement against loops and by hand."""

import math

import numpy as np
import pytest

from mmkd.analysis import (
    agreement,
    agreement_artifact,
    calibration,
    calibration_artifact,
)
from mmkd.errors import DataError


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=400)
    teacher = rng.normal(size=(400, 5)) + 2.0 * np.eye(5)[labels]
    student = 3 * (rng.normal(size=(400, 5)) + np.eye(5)[labels])
    return student, teacher, labels


def slow_ece(logits, labels, bins):
    """One sample after the other, one bin after the other."""
    rows = []
    for row, label in zip(logits.tolist(), labels.tolist()):
        total = sum(math.exp(x) for x in row)
        confidence = max(math.exp(x) / total for x in row)
        rows.append((confidence, row.index(max(row)) == label))
    error = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [row for row in rows if low < row[0] <= high]
        if inside:
            sure = sum(c for c, _ in inside) / len(inside)
            right = sum(r for _, r in inside) / len(inside)
            error += len(inside) / len(rows) * abs(sure - right)
    return error


@pytest.mark.parametrize('bins', [1, 10, 15])
def test_ece_equals_the_loop(predictions, bins):
    student, teacher, labels = predictions
    for logits in (student, teacher):
        figures = calibration(logits, labels, bins=bins)
        assert figures['ece'] == pytest.approx(
            slow_ece(logits, labels, bins), rel=1e-12
        )
        assert sum(entry['count'] for entry in figures['bins']) == 400
    assert figures['ece'] != calibration(student, labels, bins=bins)['ece']


def test_figures_by_hand():
    """Confidences 0.75 (right), 0.75 (wrong) and, on the edge of two bins, 0.5."""
    logits = np.log([[3.0, 1.0], [3.0, 1.0], [1.0, 1.0]])
    figures = calibration(logits, [0, 1, 0], bins=2)
    assert figures['accuracy'] == pytest.approx(2 / 3)
    assert figures['confidence'] == pytest.approx(2 / 3)
    nll = -(math.log(0.75) + math.log(0.25) + math.log(0.5)) / 3
    assert figures['nll'] == pytest.approx(nll)
    low, high = figures['bins']
    assert low == dict(count=1, accuracy=1.0, confidence=pytest.approx(0.5))
    assert high == dict(count=2, accuracy=0.5, confidence=pytest.approx(0.75))
    assert figures['ece'] == pytest.approx(1 / 3 * 0.5 + 2 / 3 * 0.25)


def test_an_empty_bin_has_no_accuracy():
    figures = calibration(np.array([[50.0, 0.0]]), [0])
    assert figures['bins'][0] == dict(count=0)
    assert figures['bins'][-1]['count'] == 1


def test_calibration_artifact(predictions, tmp_path):
    student, teacher, labels = predictions
    logits = dict(student=student, teacher=teacher)
    artifact, figure = calibration_artifact(logits, labels, 'made-up')
    assert artifact.write(tmp_path, figure).exists()
    figures = calibration(teacher, labels)
    assert artifact.rows['teacher']['ECE'] == figures['ece']
    assert artifact.rows['teacher']['top-1 (%)'] == 100 * figures['accuracy']
    upper, _, lower, _ = figure.axes
    counts = [bar.get_height() for bar in lower.patches]
    assert counts == [entry['count'] for entry in artifact.values['student']['bins']]
    heights = [bar.get_y() + bar.get_height() for bar in upper.containers[1]]
    sure = [b['confidence'] for b in artifact.values['student']['bins'] if b['count']]
    np.testing.assert_allclose(heights, sure)


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(
        DataError, match='the teacher knows 2 classes, but a label is 2'
    ):
        calibration(np.zeros((2, 2)), [0, 2], whose='teacher')
    with pytest.raises(DataError, match='as many labels'):
        calibration(np.zeros((2, 2)), [0])
    with pytest.raises(DataError, match='not all finite'):
        calibration(np.array([[np.nan, 0.0]]), [0])


def test_agreement_by_hand():
    """Both right, only the teacher, only the student, both wrong alike and not."""
    hot = 5 * np.eye(3)
    labels = np.array([0, 0, 0, 2, 2])
    student, teacher = hot[[0, 1, 0, 1, 1]], hot[[0, 0, 1, 1, 0]]
    figures = agreement(student, teacher, labels)
    assert figures['agreement'] == pytest.approx(2 / 5)
    assert figures['outcomes'] == pytest.approx(
        dict(both=1 / 5, teacher=1 / 5, student=1 / 5, neither=2 / 5)
    )
    assert figures['per_class'] == [pytest.approx(1 / 3), None, pytest.approx(1 / 2)]


def test_kl_is_of_the_student_from_the_teacher():
    teacher, student = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    figures = agreement(student + 7, teacher, np.array([0]))
    assert figures['kl'] == pytest.approx(expected)
    # A probability that rounds to 0 is no NaN.
    assert agreement(np.array([[0.0, 0]]), np.array([[0.0, -2000]]), [0])['kl'] > 0


def test_agreement_artifact(predictions, tmp_path):
    artifact, figure = agreement_artifact(*predictions, 'abcde', 'made-up')
    assert artifact.write(tmp_path, figure).exists()
    row = artifact.rows['all images']
    parts = [value for key, value in row.items() if 'right' in key or 'wrong' in key]
    assert len(parts) == 4 and sum(parts) == pytest.approx(100)
    left, right = figure.axes
    drawn = [bar.get_width() for bar in right.patches]
    assert drawn == sorted(drawn) and len(drawn) == 5
    assert [bar.get_width() for bar in left.patches] == parts
    with pytest.raises(DataError, match='same samples and classes'):
        agreement(predictions[0][:, :4], *predictions[1:])
