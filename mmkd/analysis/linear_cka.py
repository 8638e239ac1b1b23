"""How alike the features of two networks are, whatever their axes and scale."""

from typing import Dict, Iterator, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from mmkd.errors import DataError
from mmkd.visualization import Artifact, new_figure

from .presentation import heading

BLOCK = 1024  # samples in float64 at once
CELLS = 14  # layers on a side up to which the figures stand in the picture


def linear_cka(first: ndarray, second: ndarray, *, debiased: bool = False) -> float:
    """Linear CKA of two feature matrices over the same samples.

    `Similarity of Neural Network Representations Revisited
    <https://arxiv.org/abs/1905.00414>`_: with centred columns, |Y'X|² / (|X'X| |Y'Y|)
    in Frobenius norms, so 1 for features equal up to rotation and scale. Summed in
    float64 over blocks of samples; the sums are ``(C1, C2)``.

    Args:
        first (ndarray): ``(N, C1)``, memory-mapped or not.
        second (ndarray): ``(N, C2)``, the same samples in the same order.
        debiased (bool): Take the unbiased estimates of HSIC, as `Do Wide and Deep
            Networks Learn the Same Things? <https://arxiv.org/abs/2010.15327>`_ does:
            0 on average for independent features, and now and then below. The plain
            value is above 0 for them where N is not large beside C. Defaults to False.

    Raises:
        DataError: See :func:`cka_matrix`.
    """
    matrix = cka_matrix({'first': first}, {'second': second}, debiased=debiased)
    return float(matrix[0, 0])


def cka_matrix(
    student: Dict[str, ndarray], teacher: Dict[str, ndarray], *, debiased: bool = False
) -> ndarray:
    """Linear CKA of every layer of a student with every layer of a teacher.

    Args:
        student (dict[str, ndarray]): Features ``(N, C)`` by layer.
        teacher (dict[str, ndarray]): Likewise, of the same samples.
        debiased (bool): See :func:`linear_cka`.

    Returns:
        ndarray: float64 ``(student layers, teacher layers)``.

    Raises:
        DataError: The numbers of samples differ or are too few, or a layer is
            constant or not finite, which makes its CKA undefined.
    """
    counts = {len(x) for part in (student, teacher) for x in part.values()}
    least = 4 if debiased else 2
    if len(counts) != 1 or min(counts) < least:
        raise DataError(
            f'CKA compares features of the same samples, at least {least} of them; the '
            f'layers have {", ".join(map(str, sorted(counts)))}.'
        )
    rows = [_Centred(f'student layer {k}', x) for k, x in student.items()]
    columns = [_Centred(f'teacher layer {k}', x) for k, x in teacher.items()]
    own = [np.sqrt(_own(x, debiased)) for x in rows + columns]
    cross = [[_hsic(x, y, debiased) for y in columns] for x in rows]
    return np.array(cross) / np.outer(own[: len(rows)], own[len(rows) :])


class _Centred:
    """Features less their means, block by block."""

    def __init__(self, name: str, features: ndarray) -> None:
        self.name, self.features = name, features
        self.mean = sum(x.sum(0) for x in _blocks(features)) / len(features)
        if not np.isfinite(self.mean).all():
            raise DataError(f'{name} has features that are not finite; CKA needs them.')
        if all((x == features[0]).all() for x in _blocks(features)):
            raise DataError(
                f'{name} is the same for all {len(features)} samples, so its CKA is '
                'undefined; leave it out.'
            )

    def __iter__(self) -> Iterator[ndarray]:
        return (x - self.mean for x in _blocks(self.features))


def _blocks(features):
    for start in range(0, len(features), BLOCK):
        yield np.asarray(features[start : start + BLOCK], np.float64)


def _own(layer, debiased):
    value = _hsic(layer, layer, debiased)
    if value <= 0:  # only the unbiased estimate can be
        raise DataError(
            f'{layer.name}: the debiased estimate is not positive on '
            f'{len(layer.features)} samples; take more of them, or the plain CKA.'
        )
    return value


def _hsic(first, second, debiased):
    """HSIC of linear kernels, up to a factor that CKA does not see."""
    product, lengths = 0.0, []
    for x, y in zip(first, second):
        product = product + x.T @ y
        lengths.append(np.stack([(x**2).sum(1), (y**2).sum(1)]))
    value = np.square(product).sum()
    if not debiased:
        return value
    # The kernels' rows add up to 0, so their diagonals are all that leaves the sums.
    k, m = np.concatenate(lengths, axis=1)
    n = len(k)
    return value - n / (n - 2) * (k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2))


def draw_cka(
    matrix: ndarray, student: Sequence[str], teacher: Sequence[str], title: str
) -> Figure:
    """Draw a heat map, a row a student layer and a column a teacher layer.

    Args:
        matrix (ndarray): As of :func:`cka_matrix`.
        student (Sequence[str]): Names of the rows.
        teacher (Sequence[str]): Names of the columns.
        title (str): Heading.
    """
    height, width = matrix.shape
    cell = 0.65 if max(matrix.shape) <= CELLS else 0.35
    figure = new_figure(
        max(cell * width + 0.09 * max(map(len, student)) + 2.2, 6),
        max(cell * height + 0.07 * max(map(len, teacher)) + 1.2, 4),
    )
    axis = figure.subplots()
    image = axis.imshow(matrix, cmap='viridis', vmin=0, vmax=1)
    axis.set_xticks(range(width), teacher, rotation=45, ha='right')
    axis.set_yticks(range(height), student)
    axis.set_xlabel("teacher's layer")
    axis.set_ylabel("student's layer")
    if max(matrix.shape) <= CELLS:
        for (row, column), value in np.ndenumerate(matrix):
            colour = 'white' if value < 0.6 else 'black'
            axis.text(column, row, f'{value:.2f}', ha='center', va='center', c=colour)
    bar = figure.colorbar(image, ax=axis)
    bar.set_label('linear CKA (0 unrelated, 1 alike)')
    heading(figure, title)
    return figure


def cka_artifact(
    student: Dict[str, ndarray],
    teacher: Dict[str, ndarray],
    data: str,
    *,
    debiased: bool = False,
) -> Tuple[Artifact, Figure]:
    """Measure, draw and describe the CKA of a student and a teacher.

    Args:
        student (dict[str, ndarray]): Features ``(N, C)`` by layer.
        teacher (dict[str, ndarray]): Likewise, of the same samples.
        data (str): What the networks and the samples are, for the title.
        debiased (bool): See :func:`linear_cka`.

    Raises:
        DataError: See :func:`cka_matrix`.
    """
    matrix = cka_matrix(student, teacher, debiased=debiased)
    features = [*student.values(), *teacher.values()]
    count, widest = len(features[0]), max(x.shape[1] for x in features)
    kind = 'Debiased linear CKA' if debiased else 'Linear CKA'
    title = f'{kind} of layers: {data}'
    if debiased:
        bias = 'The estimate is debiased: independent features get 0 on average.'
    else:
        bias = (
            f'Independent features do not get 0 but up to about '
            f'{widest / (widest + count):.3f} (C / (C + N), for features as wide as '
            'the widest here and spread evenly over their directions).'
        )
    about = (
        'A row is a layer of the student, a column one of the teacher; maps are '
        'averaged over their positions. 1: the features of the two layers are equal up '
        f'to rotation and scale; 0: not linearly related. N = {count:,} samples, at '
        f'most C = {widest:,} features. {bias} CKA weighs directions by their '
        'variance, so it says nothing of accuracy.'
    )
    rows = {
        name: dict(zip(teacher, map(float, row))) for name, row in zip(student, matrix)
    }
    values = dict(cka=rows, samples=count, widest=widest, debiased=debiased)
    artifact = Artifact('cka', title, about, rows, 'student \\ teacher', values)
    return artifact, draw_cka(matrix, list(student), list(teacher), title)
