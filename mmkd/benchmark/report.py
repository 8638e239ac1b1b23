"""The table and the curves of a benchmark, from what lies in its folder."""

import csv
import io
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from matplotlib.figure import Figure

from mmkd.errors import ConfigError
from mmkd.files import write_text
from mmkd.visualization import Artifact, curves_figure, markdown_table

from .metric import Metric
from .pool import clock
from .summary import BASELINE, joined, read_cells, summarize

#: Options that say where the data lies and what the table names, not what is trained.
ASIDE = ('data_root', 'check_md5', 'benchmark.metric')


def write_report(out: Path) -> str:
    """Write what a benchmark has shown, for people and programs.

    That is ``results.json``, an :class:`~mmkd.visualization.Artifact` with the picture
    ``curves.png``; its table and notes as ``results.md``; and ``results.csv`` and
    ``curves.csv``. All cells of the folder are in them, those of earlier calls too.

    Args:
        out (Path): Folder of the benchmark.

    Returns:
        str: What ``results.md`` says.

    Raises:
        ConfigError: The folder has no cells.
    """
    cells = read_cells(out)
    if not cells:
        raise ConfigError(f'{out} holds no benchmark; give the --out of one.')
    artifact, rows, points = _artifact(cells)
    table = markdown_table(artifact.rows, artifact.corner)
    notes = '\n'.join(f'- {note}' for note in artifact.about.splitlines())
    text = f'# {artifact.title}\n\n{table}\n\n{notes}\n'
    write_text(out / 'results.md', text)
    write_text(out / 'results.csv', _csv(rows))
    write_text(out / 'curves.csv', _csv(points))
    artifact.write(out, _figure(cells, artifact.title))
    return text


def _artifact(cells) -> Tuple[Artifact, List[dict], List[dict]]:
    """Return the result, and the lines of its two files of CSV."""
    metric, title = Metric.of(cells[0]['metric']), _title(cells)
    rows, points = summarize(cells), list(_points(cells, metric))
    artifact = Artifact(
        'results',
        title,
        '\n'.join(_notes(cells, rows, metric)),
        _table(rows, metric, any(cell['reduced'] for cell in cells)),
        'method, pair',
        dict(metric=metric.key, shown=metric.head, rows=rows, curves=points),
        ['results.csv', 'curves.csv'],
        'curves.png',
    )
    rows = [dict(row, metric=metric.head, protocol=title) for row in rows]
    return artifact, rows, points


def _table(rows, metric, reduced):
    mark = ' (full protocol, not comparable)' if reduced else ''
    table = {
        f'{row["method"]}, {_named(row["pair"])}': {
            'seeds': _show_seeds(row),
            f'last {metric.head}': _show(row, 'last', metric),
            f'best {metric.head}': _show(row, 'best', metric),
            'gain': _number(row['gain'], f'+{metric.spec}'),
            f'published {metric.head}{mark}': _number(row['published'], metric.spec),
            f'published gain{mark}': _number(row['published_gain'], f'+{metric.spec}'),
            'wall time a run': _clock(row['wall_seconds']),
            'config': row['config'],
            'revision': row['revision'] or None,
        }
        for row in rows
    }
    if not any(row['published'] for row in rows):
        for cells in table.values():
            for column in [name for name in cells if name.startswith('published')]:
                del cells[column]
    return table


def _notes(cells, rows, metric):
    """Say how the table's columns are to be read, a line each."""
    done = [cell for cell in cells if 'last' in cell]
    at_once = max(cell.get('jobs', 1) for cell in cells)
    names = [f'{k} {v}' for c in done for k, v in c['versions'].items()]
    bases = joined(row['baseline'] for row in rows if row['baseline']) or BASELINE
    return [
        f'Metric: {metric.head} on {joined(c["dataset"] for c in cells)}; mean ± '
        'sample standard deviation over the seeds.',
        f'Last: after the last {cells[0]["unit"]}. Best: the highest of all '
        'validations, chosen by the same images and so optimistic.',
        f'Gain: last {metric.name} minus that of the student alone ({bases}) of the '
        'same pair, means over the seeds finished.',
        f'Wall time: mean of a run, {_up_to(at_once)}, with validation and start-up.',
        f'Dates: {joined(sorted(c["date"] for c in done)) or "-"}. '
        f'Versions: {joined(names) or "-"}. '
        f'Device: {joined(c["device"] for c in done) or "-"}.',
    ]


def _title(cells):
    """Say what the figures are of, and all that was shortened or changed."""
    reduced = joined(text for cell in cells for text in cell['reduced'])
    options = {
        key: value
        for key, value in (cells[0]['request']['options'] or {}).items()
        if not key.endswith(ASIDE)
    }
    title = 'Benchmark'
    if reduced:
        title += f', REDUCED: {reduced}'
    if options:
        changed = ', '.join(f'{key}={value}' for key, value in options.items())
        title += f'{";" if reduced else ","} CHANGED: {changed}'
    if not reduced and not options:
        lengths = joined(cell['length'] for cell in cells)
        title += f', as configured: {lengths} {cells[0]["unit"]}s'
    return title


def _points(cells, metric):
    """Give every validation, as it was logged."""
    for cell in cells:
        losses = dict(cell.get('train_loss', []))
        for step, value in cell.get('curve', []):
            yield {
                'cell': cell['stem'],
                'seed': cell['seed'],
                cell['unit']: step,
                metric.column: value,
                'train_loss': losses.get(step),
            }


def _figure(cells, title) -> Optional[Figure]:
    """Draw a panel for each pair, nothing before a cell has ended."""
    panels: Dict[str, Dict[str, list]] = {}
    for cell in cells:
        if 'curve' in cell:
            metric = Metric.of(cell['metric'])
            label = f'validation {metric.head}\n{_named(cell["pair"])}'
            curves = panels.setdefault(label, {}).setdefault(cell['method'], [])
            steps, values = zip(*cell['curve'])
            curves.append((steps, [metric.scale * value for value in values]))
    return curves_figure(panels, title, cells[0]['unit']) if panels else None


def _csv(rows) -> str:
    file = io.StringIO()
    if rows:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    return file.getvalue()


def _named(pair) -> str:
    return pair.replace('_', ' -> ', 1)


def _show(row, which, metric) -> Optional[str]:
    value, spread = row[f'{which}_mean'], row[f'{which}_std']
    if value is None:
        return 'failed' if row['failed'] else None
    shown = format(value, metric.spec)
    return shown + ('' if spread is None else f' ± {format(spread, metric.spec)}')


def _show_seeds(row) -> str:
    parts = [row['seeds']] if row['seeds'] else []
    parts += [f'{key}: {row[key]}' for key in ('failed', 'unfinished') if row[key]]
    return ', '.join(parts)


def _number(value: Optional[float], spec: str) -> Optional[str]:
    return None if value is None else format(value, spec)


def _clock(seconds: Optional[float]) -> Optional[str]:
    return None if seconds is None else clock(seconds)


def _up_to(jobs: int) -> str:
    return 'one at a time' if jobs == 1 else f'up to {jobs} at once'
