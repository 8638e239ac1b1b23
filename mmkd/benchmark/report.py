"""The table and the curves of a benchmark, from what lies in its folder."""

import csv
import io
from pathlib import Path
from typing import Dict, Optional

from mmkd.errors import ConfigError
from mmkd.files import write_text
from mmkd.visualization import draw_curves, markdown_table

from .pool import clock
from .summary import BASELINE, joined, read_cells, summarize

#: Options that say where the data lies, not what it is.
PLACES = ('data_root', 'check_md5')


def write_report(out: Path) -> str:
    """Write ``results.md``, ``results.csv``, ``curves.csv`` and ``curves.png``.

    All cells of the folder are in it, those of earlier calls too.

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
    rows = summarize(cells)
    text = _markdown(cells, rows)
    write_text(out / 'results.md', text)
    title = _title(cells)
    write_text(out / 'results.csv', _csv([dict(row, protocol=title) for row in rows]))
    write_text(out / 'curves.csv', _csv(_points(cells)))
    _draw(out / 'curves.png', cells, title)
    return text


def _markdown(cells, rows):
    reduced = any(cell['reduced'] for cell in cells)
    mark = ' (full protocol, not comparable)' if reduced else ''
    table = {}
    for row in rows:
        table[f'{row["method"]}, {row["pair"].replace("_", " -> ", 1)}'] = {
            'seeds': _show_seeds(row),
            'last top-1 (%)': _show(row, 'last'),
            'best top-1 (%)': _show(row, 'best'),
            'gain': _number(row['gain'], '+.2f'),
            f'published top-1 (%){mark}': _number(row['published'], '.2f'),
            f'published gain{mark}': _number(row['published_gain'], '+.2f'),
            'wall time a run': '-'
            if row['wall_seconds'] is None
            else clock(row['wall_seconds']),
            'config': row['config'],
            'revision': row['revision'] or '-',
        }
    done = [cell for cell in cells if 'last' in cell]
    at_once = max(cell.get('jobs', 1) for cell in cells)
    names = [f'{k} {v}' for c in done for k, v in c['versions'].items()]
    notes = [
        f'Metric: top-1 accuracy in % on {joined(c["dataset"] for c in cells)}; mean '
        '± sample standard deviation over the seeds.',
        'Last: after the last epoch. Best: the highest of all validations, chosen by '
        'the same images and so optimistic.',
        f'Gain: last top-1 minus that of `{BASELINE}` of the same pair, means over '
        'the seeds finished.',
        f'Wall time: mean of a run, {_up_to(at_once)}, with validation and start-up.',
        f'Dates: {joined(sorted(c["date"] for c in done)) or "-"}. '
        f'Versions: {joined(names) or "-"}. '
        f'Device: {joined(c["device"] for c in done) or "-"}.',
    ]
    body = '\n'.join(f'- {note}' for note in notes)
    return f'# {_title(cells)}\n\n{markdown_table(table, "method, pair")}\n\n{body}\n'


def _title(cells):
    """Say what the figures are of, and all that was shortened or changed."""
    reduced = joined(text for cell in cells for text in cell['reduced'])
    options = {
        key: value
        for key, value in (cells[0]['request']['options'] or {}).items()
        if not key.endswith(PLACES)
    }
    title = 'Benchmark'
    if reduced:
        title += f', REDUCED: {reduced}'
    if options:
        changed = ', '.join(f'{key}={value}' for key, value in options.items())
        title += f'{";" if reduced else ","} CHANGED: {changed}'
    if not reduced and not options:
        title += f', as configured: {joined(c["max_epochs"] for c in cells)} epochs'
    return title


def _points(cells):
    for cell in cells:
        losses = dict(cell.get('train_loss', []))
        for epoch, top1 in cell.get('curve', []):
            yield dict(
                cell=cell['stem'],
                seed=cell['seed'],
                epoch=epoch,
                top1=top1,
                train_loss=losses.get(epoch),
            )


def _draw(path, cells, title):
    panels: Dict[str, Dict[str, list]] = {}
    for cell in cells:
        if 'curve' in cell:
            label = f'validation top-1 (%)\n{cell["pair"].replace("_", " -> ", 1)}'
            curves = panels.setdefault(label, {}).setdefault(cell['method'], [])
            curves.append(tuple(zip(*cell['curve'])))
    if panels:
        draw_curves(path, panels, title, xlabel='epoch')


def _csv(rows) -> str:
    rows = list(rows)
    file = io.StringIO()
    if rows:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    return file.getvalue()


def _show(row, which) -> str:
    value, spread = row[f'{which}_mean'], row[f'{which}_std']
    if value is None:
        return 'failed' if row['failed'] else '-'
    return f'{value:.2f}' + ('' if spread is None else f' ± {spread:.2f}')


def _show_seeds(row) -> str:
    parts = [row['seeds']] if row['seeds'] else []
    parts += [f'{key}: {row[key]}' for key in ('failed', 'unfinished') if row[key]]
    return ', '.join(parts)


def _number(value: Optional[float], spec: str) -> str:
    return '-' if value is None else format(value, spec)


def _up_to(jobs: int) -> str:
    return 'one at a time' if jobs == 1 else f'up to {jobs} at once'
