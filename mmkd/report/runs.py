"""The training runs of a report: curves and a table of the last and best figures."""

import io
import math
import os
import re
from pathlib import PurePosixPath
from typing import Any, Dict, List, Tuple, Union

from mmkd.visualization.curves import Curve, curves_figure
from mmkd.visualization.run_log import RunLog

from .page import Item, paragraph, picture, table

LOSS = 'training loss'
#: Units of the evaluators that mmkd's configs use, by the start of their names.
UNITS = {'accuracy/': ' (%)', 'coco/': ' (0 to 1)'}
SEED = re.compile(r'/seed\d+$')
HALF = 28  # letters in half of a legend's width
LINE = 0.19  # inches of a line of a legend


def run_items(logs: Dict[str, RunLog]) -> List[Item]:
    """Return a report's items: one for all runs of the same first validation figure.

    Runs whose names differ by ``/seedN`` at the end share a colour.

    Args:
        logs (dict[str, RunLog]): By the name to show, a path with ``/``.
    """
    groups: Dict[Tuple[str, str], Dict[str, RunLog]] = {}
    for name, log in logs.items():
        key = log.validated[0] if log.validated else ''
        groups.setdefault((key, log.unit), {})[name] = log
    return [_item(key, unit, group) for (key, unit), group in groups.items()]


def _item(key: str, unit: str, logs: Dict[str, RunLog]) -> Item:
    which = f'run {next(iter(logs))}'
    if len(logs) > 1:
        shared = os.path.commonpath([PurePosixPath(name).parent for name in logs])
        logs = {os.path.relpath(name, shared or '.'): log for name, log in logs.items()}
        which = f'{len(logs)} runs' + (f' in {shared}' if shared else '')
    losses = {name: log.own_loss() for name, log in logs.items()}
    pictures = _picture(which, LOSS, 'training iterations', losses)
    notes = [
        'Training loss: as weighted in the run, without the distillation losses, where '
        'there are any.'
    ]
    if key:
        scores = {name: log.curves[key] for name, log in logs.items()}
        pictures += _picture(which, f'validation {_named(key)}', unit, scores)
        notes.append(
            'Last: of the last validation. Best: the highest of all validations, of a '
            f'loss the lowest, and in brackets its {unit}; chosen by the same data and '
            'so optimistic.'
        )
    if any(map(SEED.search, logs)):
        notes.append('Seeds of a method share a colour.')
    rows = {name: _row(log) for name, log in logs.items()}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    rows = {name: {c: row.get(c) for c in columns} for name, row in rows.items()}
    body = [
        f'<div class="pictures">\n{pictures}\n</div>',
        paragraph(' '.join(notes), 'source'),
        table(rows, f'Last and best figures of {which}', 'run'),
    ]
    return f'{key or "No validation"}, {which}', '\n'.join(body)


def _picture(title: str, label: str, across: str, curves: Dict[str, Curve]) -> str:
    shared: Dict[str, Union[Curve, List[Curve]]] = {}
    for name, (steps, values) in curves.items():
        # An empty curve takes its colour, too, so that all pictures have the same.
        shared.setdefault(SEED.sub('', name), []).append((steps, values))
    if not any(steps for steps, _ in curves.values()):
        return ''
    figure = curves_figure({label: shared}, title, across)
    # Below the plot, for the names would hide the curves.
    figure.axes[0].get_legend().remove()
    columns = 2 if max(map(len, shared)) <= HALF else 1
    figure.set_size_inches(5.2, 3.4 + LINE * math.ceil(len(shared) / columns))
    figure.legend(loc='outside lower center', ncols=columns, fontsize=9, frameon=False)
    file = io.BytesIO()
    figure.savefig(file)
    return picture(file.getvalue(), f'{label} of {title} over {across}')


def _row(log: RunLog) -> Dict[str, Any]:
    steps, losses = log.own_loss()
    row: Dict[str, Any] = {'iterations': None, f'{LOSS}, last': None}
    if steps:
        row = {'iterations': steps[-1], f'{LOSS}, last': _show(losses[-1])}
    for key in log.validated:
        steps, values = log.curves[key]
        row[f'{_named(key)}, last'] = _show(values[-1])
        known = list(filter(math.isfinite, values))
        if known:
            best = min(known) if 'loss' in key else max(known)
            first = steps[values.index(best)]
            row[f'{_named(key)}, best'] = f'{_show(best)} ({first})'
    return row


def _named(key: str) -> str:
    unit = next((unit for start, unit in UNITS.items() if key.startswith(start)), '')
    return f'{key}{unit}'


def _show(value: float) -> str:
    return f'{value:#.4g}'
