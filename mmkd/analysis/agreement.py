"""How often student and teacher say the same, and who is right where not."""

from typing import Dict, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from mmkd.errors import DataError
from mmkd.visualization import Artifact, new_figure

from .calibration import log_probabilities
from .presentation import heading

SHOWN = 30  # classes in the picture
OUTCOMES = dict(
    both='both right',
    teacher='only the teacher right',
    student='only the student right',
    neither='both wrong',
)


def agreement(student: ndarray, teacher: ndarray, labels: ndarray) -> Dict[str, object]:
    """Compare two networks' predictions of the same samples.

    Args:
        student (ndarray): Logits ``(N, K)``.
        teacher (ndarray): Logits ``(N, K)`` of the same samples and classes.
        labels (ndarray): ``(N,)``, from 0 to ``K - 1``.

    Returns:
        dict: ``agreement``, the part of the samples with the same most probable
        class; ``outcomes``, the parts where ``both``, only the ``teacher``, only the
        ``student`` and ``neither`` is right; ``kl``, the mean of KL(teacher ||
        student) in nats; ``per_class``, a list of ``K`` agreements over the samples
        labelled so, None where there are none.

    Raises:
        DataError: The shapes differ, or a logit is not finite.
    """
    labels = np.asarray(labels)
    if student.shape != teacher.shape or labels.shape != student.shape[:1]:
        raise DataError(
            f'the logits of student {student.shape} and teacher {teacher.shape} must '
            f'be of the same samples and classes, with a label each {labels.shape}.'
        )
    student = log_probabilities(student, 'student')
    teacher = log_probabilities(teacher, 'teacher')
    same = student.argmax(1) == teacher.argmax(1)
    right = student.argmax(1) == labels
    known = teacher.argmax(1) == labels
    outcomes = dict(
        both=right & known,
        teacher=~right & known,
        student=right & ~known,
        neither=~right & ~known,
    )
    return dict(
        agreement=float(same.mean()),
        outcomes={name: float(which.mean()) for name, which in outcomes.items()},
        kl=float((np.exp(teacher) * (teacher - student)).sum(1).mean()),
        per_class=[
            float(same[labels == label].mean()) if (labels == label).any() else None
            for label in range(student.shape[1])
        ],
    )


def draw_agreement(figures: dict, classes: Sequence[str], title: str) -> Figure:
    """Draw who is right, and the classes on which the two agree least.

    Args:
        figures (dict): What :func:`agreement` returns.
        classes (Sequence[str]): ``K`` names.
        title (str): Heading.
    """
    named = [
        (part, name)
        for part, name in zip(figures['per_class'], classes)
        if part is not None
    ]
    least = sorted(named, key=lambda pair: pair[0])[:SHOWN]
    figure = new_figure(11.5, max(0.19 * len(least) + 1.6, 4.2))
    left, right = figure.subplots(1, 2)
    names = list(OUTCOMES.values())
    parts = [100 * figures['outcomes'][key] for key in OUTCOMES]
    bars = left.barh(names, parts, color=['C0', 'C1', 'C2', 'C7'])
    left.bar_label(bars, [f'{part:.1f}' for part in parts], padding=3)
    left.set_xlim(0, 1.12 * max(parts))
    left.set_xlabel('images (%)')
    left.invert_yaxis()
    left.set_title(
        f'same prediction: {100 * figures["agreement"]:.1f} %   '
        f'KL(teacher || student): {figures["kl"]:.3f} nats',
        fontsize=10,
    )
    right.barh([name for _, name in least], [100 * part for part, _ in least])
    right.tick_params(axis='y', labelsize=8)
    right.invert_yaxis()
    right.margins(y=0.01)
    right.set_xlim(0, 100)
    right.set_xlabel("same prediction (% of the class's images)")
    all_shown = len(least) == len(named)
    count = f'all {len(named)}' if all_shown else f'{len(least)} of {len(named)}'
    right.set_title(f'{count} classes, least agreement first', fontsize=10)
    heading(figure, title)
    return figure


def agreement_artifact(
    student: ndarray,
    teacher: ndarray,
    labels: ndarray,
    classes: Sequence[str],
    data: str,
) -> Tuple[Artifact, Figure]:
    """Measure, draw and describe the agreement.

    Args:
        student (ndarray): Logits ``(N, K)``.
        teacher (ndarray): Logits ``(N, K)`` of the same samples and classes.
        labels (ndarray): ``(N,)``.
        classes (Sequence[str]): ``K`` names.
        data (str): What the networks and the samples are, for the title.

    Raises:
        DataError: See :func:`agreement`.
    """
    figures = agreement(student, teacher, labels)
    title = f'Agreement: {data}'
    about = (
        f'Left: for which part of {len(labels):,} images which of the two predicts the '
        'right class. Two that are both wrong need not predict the same. Right: the '
        f'classes (at most {SHOWN}) on whose images the two most often differ in their '
        'most probable class. KL(teacher || student): how far the '
        "student's probabilities are from the teacher's at temperature 1, mean over "
        'the images, 0 when equal. The student may agree more with a teacher and yet '
        'be less often right.'
    )
    parts = {OUTCOMES[key]: part for key, part in figures['outcomes'].items()}
    row = {'same prediction': figures['agreement'], **parts}
    row = {f'{name} (%)': 100 * part for name, part in row.items()}
    row['KL divergence (nats)'] = figures['kl']
    values = dict(samples=len(labels), classes=list(classes), **figures)
    artifact = Artifact(
        'agreement', title, about, {'all images': row}, 'images', values
    )
    return artifact, draw_agreement(figures, classes, title)
