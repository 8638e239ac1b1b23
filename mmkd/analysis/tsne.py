"""Features of a few classes in a plane, beside a figure that is not of the plane."""

from typing import Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from mmkd.visualization import Artifact, new_figure

from .embedding import NEIGHBOURS, choose_samples, embed, knn_accuracy
from .presentation import heading

MARKERS = 'osD^vPX*<>'
COLOURS = 10
LEGEND = 32  # letters of a name


def draw_tsne(
    student: ndarray,
    teacher: ndarray,
    labels: ndarray,
    names: Sequence[str],
    title: str,
    subtitles: Sequence[str] = ('student', 'teacher'),
) -> Figure:
    """Draw student and teacher side by side, a colour and a mark a class.

    Args:
        student (ndarray): Places ``(N, 2)``.
        teacher (ndarray): Places ``(N, 2)`` of the same samples.
        labels (ndarray): ``(N,)``, each an index of ``names``.
        names (Sequence[str]): Class names.
        title (str): Heading.
        subtitles (Sequence[str]): Headings of the two panels.
    """
    columns = -(-len(names) // 25)
    wide = 0.075 * min(max(map(len, names)), LEGEND) + 0.6  # the legend
    figure = new_figure(10.5 + wide * columns, 5.6)
    axes = figure.subplots(1, 2)
    for axis, places, subtitle in zip(axes, (student, teacher), subtitles):
        for index, name in enumerate(names):
            x, y = places[labels == index].T
            short = name if len(name) <= LEGEND else name[: LEGEND - 3] + '...'
            marker = MARKERS[index // COLOURS % len(MARKERS)]
            axis.scatter(
                x, y, s=12, c=f'C{index % COLOURS}', marker=marker, lw=0, label=short
            )
        axis.set_title(subtitle, fontsize=10)
        axis.set_xlabel('first axis of t-SNE (no unit)')
        axis.set_ylabel('second axis of t-SNE (no unit)')
        axis.set_xticks([])
        axis.set_yticks([])
    handles, shown = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        shown,
        loc='outside right center',
        title='class',
        fontsize=8,
        markerscale=1.8,
        ncols=columns,
    )
    heading(figure, title)
    return figure


def tsne_artifact(
    student: ndarray,
    teacher: ndarray,
    labels: ndarray,
    names: Sequence[str],
    data: str,
    *,
    classes: Optional[Sequence[int]] = None,
    per_class: int = 100,
    perplexity: float = 30.0,
    seed: int = 0,
) -> Tuple[Artifact, Figure]:
    """Draw samples, place, measure and describe them.

    Args:
        student (ndarray): Features ``(N, C)``, memory-mapped or not.
        teacher (ndarray): Features ``(N, C')`` of the same samples.
        labels (ndarray): ``(N,)``, each an index of ``names``.
        names (Sequence[str]): All class names.
        data (str): What the networks and the samples are, for the title.
        classes (Sequence[int], optional): Labels to show. Defaults to the first 10.
        per_class (int): Most samples of a class. Defaults to 100.
        perplexity (float): See :func:`embed`. Defaults to 30.
        seed (int): Of samples and t-SNE. Defaults to 0.

    Raises:
        ConfigError: See :func:`embed`.
        DataError: See :func:`choose_samples` and :func:`knn_accuracy`.
    """
    classes = list(range(min(10, len(names))) if classes is None else classes)
    chosen = choose_samples(labels, classes, per_class=per_class, seed=seed)
    kept = np.array([classes.index(label) for label in np.asarray(labels)[chosen]])
    rows, places, subtitles = {}, {}, []
    for who, features in (('student', student), ('teacher', teacher)):
        features = features[chosen]
        accuracy = knn_accuracy(features, kept)
        places[who] = embed(features, perplexity=perplexity, seed=seed)
        percent = f'{NEIGHBOURS}-NN accuracy in the full space (%)'
        rows[who] = {percent: 100 * accuracy, 'features': features.shape[1]}
        subtitles.append(
            f'{who}: {NEIGHBOURS}-NN accuracy {100 * accuracy:.1f} % '
            f'in all {features.shape[1]} features'
        )
    shown = [names[label] for label in classes]
    title = f't-SNE of penultimate features, {len(chosen):,} images drawn: {data}'
    about = (
        f'A point is one of {len(chosen):,} images (at most {per_class} of each of '
        f'{len(classes)} classes, drawn with seed {seed}; the same for both networks) '
        'at its place in a plane, where t-SNE tries to keep neighbours together. The '
        "axes have no unit or direction, and clusters' sizes and distances mean "
        'nothing: only which points lie together does, and that not for certain. '
        'Compare networks by the figure above the panels: how often the '
        f'{NEIGHBOURS} nearest other images, in the full feature space, vote for the '
        f'right one of these {len(classes)} classes. Perplexity {perplexity:g}.'
    )
    values = dict(
        samples=chosen.tolist(),
        labels=np.asarray(labels)[chosen].tolist(),
        classes=shown,
        perplexity=perplexity,
        seed=seed,
        knn={who: row[percent] / 100 for who, row in rows.items()},
        **{who: where.round(4).tolist() for who, where in places.items()},
    )
    artifact = Artifact('tsne', title, about, rows, 'network', values)
    figure = draw_tsne(
        places['student'], places['teacher'], kept, shown, title, subtitles
    )
    return artifact, figure
