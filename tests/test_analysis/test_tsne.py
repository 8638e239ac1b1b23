"""t-SNE's samples, places and the figure beside them, on made-up clusters."""

import numpy as np
import pytest

from mmkd.analysis import choose_samples, embed, knn_accuracy, tsne_artifact
from mmkd.errors import ConfigError, DataError


@pytest.fixture(scope='module')
def clusters():
    """Four classes far from each other for the teacher, all alike for the student."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(4), 30))
    teacher = rng.normal(size=(120, 6)) + 20 * np.eye(6)[labels]
    return rng.normal(size=(120, 3)), teacher, labels


def test_samples_are_of_the_classes_and_of_the_seed():
    labels = np.repeat([0, 1, 2], [50, 4, 50])
    chosen = choose_samples(labels, [2, 1], per_class=10)
    assert labels[chosen].tolist() == [1] * 4 + [2] * 10
    assert len(set(chosen.tolist())) == 14
    assert (choose_samples(labels, [2, 1], per_class=10) == chosen).all()
    assert (choose_samples(labels, [2, 1], per_class=10, seed=1) != chosen).any()
    with pytest.raises(DataError, match='class 3; the classes are 0 to 2'):
        choose_samples(labels, [0, 3])


def test_neighbours_vote_without_the_sample_itself():
    """On a line, the nearest other of each has another class, but for the last two."""
    features = np.array([[0.0], [1], [10], [11], [20], [21]])
    labels = np.array([0, 1, 0, 1, 1, 1])
    assert knn_accuracy(features, labels, neighbours=1) == pytest.approx(2 / 6)


def test_ties_and_majorities():
    features = np.array([[0.0], [1], [2], [100]])
    labels = np.array([1, 1, 0, 1])
    # All others vote: of the third sample 1, 1, 1, and of each other 0, 1, 1.
    assert knn_accuracy(features, labels, neighbours=3) == pytest.approx(3 / 4)
    with pytest.raises(DataError, match='more than 4 samples; there are 4'):
        knn_accuracy(features, labels, neighbours=4)


def test_places_keep_neighbours_and_follow_the_seed(clusters):
    _, teacher, labels = clusters
    places = embed(teacher, perplexity=10)
    assert places.shape == (120, 2)
    assert knn_accuracy(places, labels) == 1
    assert (embed(teacher, perplexity=10) == places).all()


def test_artifact(clusters, tmp_path):
    names = ('ant', 'bee', 'cow', 'a very long name of a class indeed')
    artifact, figure = tsne_artifact(
        *clusters, names, 'made-up', classes=[3, 1], per_class=20, perplexity=5
    )
    assert artifact.write(tmp_path, figure).exists()
    student, teacher = (
        artifact.values['knn']['student'],
        artifact.values['knn']['teacher'],
    )
    assert teacher == 1 and 0.2 < student < 0.8
    labels = clusters[2][artifact.values['samples']]
    assert labels.tolist() == artifact.values['labels']
    assert sorted(set(labels)) == [1, 3]
    left, right = figure.axes
    assert '100.0 % in all 6 features' in right.get_title()
    assert 'no unit' in left.get_xlabel() and not len(left.get_xticks())
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ['a very long name of a class i...', 'bee']
    # The first colour's points are those of the first class asked for.
    points = right.collections[0].get_offsets()
    expected = np.array(artifact.values['teacher'])[labels == 3]
    np.testing.assert_allclose(points, expected, atol=1e-3)


def test_refusals(clusters):
    student, teacher, labels = clusters
    with pytest.raises(ConfigError, match='perplexity 30 must be .* 20'):
        embed(student[:20])
    broken = teacher.copy()
    broken[0, 0] = np.nan
    with pytest.raises(DataError, match='not finite'):
        tsne_artifact(student, broken, labels, 'abcd', 'made-up')
