"""Training curves of several runs in one picture."""

import json
import textwrap
from pathlib import Path
from typing import Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: A curve: iterations and values.
Curve = tuple[list[int], list[float]]
ACROSS = 4  # panels, at most
TITLE_WIDTH = 72  # letters above a panel
COLOURS = 10  # of matplotlib's cycle; then the next kind of line
LINES = ('-', '--', ':', '-.')


def read_scalars(work_dir: Union[str, Path], key: str, less: str = '') -> Curve:
    """Collect what MMEngine's Runner logged under a name.

    Args:
        work_dir: The Runner's; where a run was resumed, the later value of an
            iteration counts.
        key: As in the log, such as ``'loss'`` or ``'coco/bbox_mAP'``.
        less: Name of a value to subtract where it was logged, too.

    Returns:
        Iterations and values, empty where nothing was logged.
    """
    values = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # the last line of a killed run
                continue
            if key in entry:
                values[entry['step']] = entry[key] - entry.get(less, 0.0)
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def draw_curves(
    path: Union[str, Path],
    panels: dict[str, dict[str, Union[Curve, list[Curve]]]],
    title: str = '',
    xlabel: str = 'training iterations',
) -> None:
    """Write panels side by side, each with one curve a run over the iterations.

    Args:
        path: File to write; its ending gives the format.
        panels: By label of the vertical axis, the curves by name of the run; a list
            of curves shares a name and a colour.
        title: Heading of the picture.
        xlabel: Label of the horizontal axis.
    """
    columns = min(len(panels), ACROSS)
    rows = -(-len(panels) // columns)
    # Many names need room of their own, beside the curves.
    many = max(map(len, panels.values())) > COLOURS
    size = (7.2 * columns, 5.2 * rows) if many else (5.2 * columns, 3.9 * rows)
    figure = Figure(figsize=size, dpi=120, constrained_layout=True)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (label, curves) in zip(axes, panels.items()):
        for index, (name, runs) in enumerate(curves.items()):
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
        axis.set_xlabel(xlabel)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        beside = dict(loc='center left', bbox_to_anchor=(1, 0.5), fontsize=8)
        axis.legend(**(beside if many else {}))
    figure.suptitle(textwrap.fill(title, TITLE_WIDTH * columns), fontsize=10)
    figure.savefig(path)
