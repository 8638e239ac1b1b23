"""Which classes a teacher's logits tie together, and how a student's differ."""

from typing import Dict, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from mmkd.errors import DataError
from mmkd.visualization import Artifact, new_figure

from .presentation import heading

NAMED = 30  # classes up to which the axes name them
LISTED = 10  # classes in the table
HEADS = dict(logits='logits', relative='relative logits')
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0)  # ends of the colour bar


def logit_correlation(logits: ndarray, classes: Sequence[str], whose: str) -> ndarray:
    """Pearson's correlation of every two classes' logits over the samples.

    Args:
        logits (ndarray): ``(N, K)``.
        classes (Sequence[str]): ``K`` names, for messages.
        whose (str): The network, for messages.

    Returns:
        ndarray: float64 ``(K, K)``.

    Raises:
        DataError: There are fewer than two samples or classes, or a class's logit is
            constant or not finite: its correlation is undefined.
    """
    count, width = logits.shape
    if count < 2 or width < 2:
        raise DataError(
            'a correlation of logits needs two samples and two classes at least; the '
            f'{whose} has {count} x {width}.'
        )
    odd = (logits == logits[0]).all(0) | ~np.isfinite(logits).all(0)
    if odd.any():
        raise DataError(
            f"the {whose}'s logit of {classes[odd.argmax()]!r} is constant or not "
            f'finite over the {count} samples ({odd.sum()} of {width} classes are), so '
            'its correlations are undefined; check the checkpoint.'
        )
    return np.corrcoef(np.asarray(logits, np.float64), rowvar=False)


def logit_gap(student: ndarray, teacher: ndarray, classes: Sequence[str]) -> ndarray:
    """Student's less teacher's correlation of logits, class by class.

    As `Contrastive Representation Distillation <https://arxiv.org/abs/1910.10699>`_
    shows it: where it is 0, the student relates two classes as the teacher does.

    Args:
        student (ndarray): Logits ``(N, K)``.
        teacher (ndarray): Logits ``(N, K)`` of the same samples and classes.
        classes (Sequence[str]): ``K`` names.

    Returns:
        ndarray: ``(K, K)``, from -2 to 2, with zeros on the diagonal.

    Raises:
        DataError: The shapes differ, or see :func:`logit_correlation`.
    """
    shapes = student.shape, teacher.shape
    if shapes[0] != shapes[1] or shapes[0][1] != len(classes):
        raise DataError(
            f'the logits of student {shapes[0]} and teacher {shapes[1]} must be of the '
            f'same samples and the {len(classes)} classes.'
        )
    gap = logit_correlation(student, classes, 'student')
    gap -= logit_correlation(teacher, classes, 'teacher')
    np.fill_diagonal(gap, 0.0)
    return gap


def mean_gaps(gap: ndarray) -> Tuple[float, ndarray]:
    """Return the mean absolute gap of all pairs and ``(K,)`` of each class's pairs.

    The diagonal, 0 by definition, is no pair.
    """
    per_class = np.abs(gap).sum(1) / (len(gap) - 1)
    return float(per_class.mean()), per_class


def relative(logits: ndarray) -> ndarray:
    """Return logits ``(N, K)`` less each sample's mean over the classes, in float64."""
    logits = np.asarray(logits, np.float64)
    return logits - logits.mean(1, keepdims=True)


def draw_logit_gap(
    gaps: Dict[str, ndarray], classes: Sequence[str], title: str
) -> Figure:
    """Draw a heat map of each gap, with colours about 0.

    The bar ends at the next of a few round numbers, so that pictures of several
    students mostly share their colours.

    Args:
        gaps (dict[str, ndarray]): By heading of its panel, as of :func:`logit_gap`.
        classes (Sequence[str]): ``K`` names.
        title (str): Heading of the picture.
    """
    named = len(classes) <= NAMED
    names = 0.075 * max(map(len, classes)) if named else 0
    side = max(0.2 * len(classes), 3) + names + 0.8 if named else 6.5
    figure = new_figure(len(gaps) * side + 1.4, side + 0.4)
    axes = figure.subplots(1, len(gaps), squeeze=False)[0]
    largest = max(np.abs(gap).max() for gap in gaps.values())
    end = next(scale for scale in SCALES if largest <= scale)
    for axis, (name, gap) in zip(axes, gaps.items()):
        image = axis.imshow(gap, cmap='RdBu_r', vmin=-end, vmax=end)
        if named:
            axis.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
            axis.set_yticks(range(len(classes)), classes, fontsize=8)
        axis.set_xlabel('class' if named else 'class (number, from 0 on)')
        axis.set_ylabel('class' if named else 'class (number, from 0 on)')
        axis.set_title(name, fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label('correlation of logits, student - teacher')
    heading(figure, title)
    return figure


def logit_gap_artifact(
    student: ndarray, teacher: ndarray, classes: Sequence[str], data: str
) -> Tuple[Artifact, Figure]:
    """Measure, draw and describe the gap.

    Args:
        student (ndarray): Logits ``(N, K)``.
        teacher (ndarray): Logits ``(N, K)`` of the same samples and classes.
        classes (Sequence[str]): ``K`` names.
        data (str): What the networks and the samples are, for the title.

    Raises:
        DataError: See :func:`logit_gap`.
    """
    gaps = dict(
        logits=logit_gap(student, teacher, classes),
        relative=logit_gap(relative(student), relative(teacher), classes),
    )
    means = {name: mean_gaps(gap) for name, gap in gaps.items()}
    title = f'Gap of logit correlations: {data}'
    about = (
        "Each network's logits of two classes correlate over the images, from -1 to "
        "1; a cell is the student's correlation less the teacher's. White: the student "
        'relates the two classes as the teacher does; red: it ties them more closely; '
        'blue: less. Left: logits as they are, which is what the literature draws. '
        "Right: relative logits, less each image's mean over the classes. That mean "
        'changes no probability, but one that varies ties all classes together, so '
        'only the right one is about what the network says (mmkd). Mean gap: of '
        'absolute values, over pairs of different classes. '
        f'N = {len(student):,} images, {len(classes)} classes in their order. The '
        'table lists the classes with the largest mean gap of relative logits. The '
        'colours of two pictures compare where their bars end at the same number.'
    )
    rows = {'all classes': _row(gaps, {k: mean for k, (mean, _) in means.items()})}
    for index in np.argsort(-means['relative'][1], kind='stable')[:LISTED]:
        mean = {name: float(each[index]) for name, (_, each) in means.items()}
        rows[classes[index]] = _row(gaps, mean, classes, index)
    values = dict(samples=len(student), classes=list(classes))
    for name, (mean, each) in means.items():
        values[name] = dict(
            mean_gap=mean, per_class=each.tolist(), gap=gaps[name].round(5).tolist()
        )
    artifact = Artifact('logit_gap', title, about, rows, 'class', values)
    panels = {
        f'{HEADS[name]}: mean gap {means[name][0]:.4f}': gap
        for name, gap in gaps.items()
    }
    return artifact, draw_logit_gap(panels, classes, title)


def _row(gaps, mean, classes=(), index=None) -> Dict[str, object]:
    """A line of the table: of all pairs, or of those of a class."""
    row = {f'mean gap, {HEADS[name]}': value for name, value in mean.items()}
    if index is None:
        return dict(row, **{'largest (relative)': '', 'with': ''})
    of_class = gaps['relative'][index]
    second = np.abs(of_class).argmax()
    largest = float(of_class[second])
    return dict(row, **{'largest (relative)': largest, 'with': classes[second]})
