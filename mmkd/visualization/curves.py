"""Training curves of several runs in one picture."""

import textwrap
from pathlib import Path
from typing import Union

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmkd.visualization.artifact import new_figure, save_figure
from mmkd.visualization.run_log import Curve

ACROSS = 3  # panels, at most
TITLE_WIDTH = 72  # letters above a panel
COLOURS = 10  # of matplotlib's cycle; then the next kind of line
LINES = ('-', '--', ':', '-.')


def draw_curves(
    path: Union[str, Path],
    panels: dict[str, dict[str, Union[Curve, list[Curve]]]],
    title: str = '',
    xlabel: str = 'training iterations',
) -> None:
    """Write what :func:`curves_figure` draws; the path's ending gives the format."""
    save_figure(curves_figure(panels, title, xlabel), path)


def curves_figure(
    panels: dict[str, dict[str, Union[Curve, list[Curve]]]],
    title: str = '',
    xlabel: Union[str, dict[str, str]] = 'training iterations',
) -> Figure:
    """Draw panels side by side, each with one curve a run over the iterations.

    Args:
        panels: By label of the vertical axis, the curves by name of the run; a list
            of curves shares a name and a colour.
        title: Heading of the picture.
        xlabel: Label of the horizontal axis, or one for each panel by its label.
    """
    # Many names need room of their own, beside the curves.
    many = max(map(len, panels.values())) > COLOURS
    most = min(len(panels), ACROSS - many)
    # Which leaves the fewest places empty.
    columns = min(range(most, most // 2, -1), key=lambda width: -len(panels) % width)
    rows = -(-len(panels) // columns)
    size = (7.2 * columns, 5.2 * rows) if many else (5.2 * columns, 3.9 * rows)
    figure = new_figure(*size)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    # A run keeps its colour where another panel lacks some.
    order = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    for axis, (label, curves) in zip(axes, panels.items()):
        for name, runs in curves.items():
            index = order.index(name)
            for run in runs if isinstance(runs, list) else [runs]:
                kind = LINES[index // COLOURS % len(LINES)]
                axis.plot(
                    *run,
                    marker='.',
                    color=f'C{index % COLOURS}',
                    linestyle=kind,
                    label=name,
                )
                name = None  # once in the legend
        # Nobody trains half an epoch.
        axis.xaxis.set_major_locator(MaxNLocator('auto', integer=True))
        axis.set_xlabel(xlabel if isinstance(xlabel, str) else xlabel[label])
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        beside = dict(loc='center left', bbox_to_anchor=(1, 0.5)) if many else {}
        axis.legend(fontsize=8, **beside)
    figure.suptitle(textwrap.fill(title, TITLE_WIDTH * columns), fontsize=10)
    return figure
