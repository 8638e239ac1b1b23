"""Means over seeds."""

from pathlib import Path
from statistics import mean, stdev
from typing import Dict, Iterable, List, Optional

from .account import read_account
from .metric import Metric

#: Method of the student alone, where it is named by its file.
BASELINE = 'none'


def read_cells(out: Path) -> List[dict]:
    """Return the results of a folder, and the accounts of cells without one.

    Pair by pair, the students alone first, then the methods by name; then by seed.
    """
    cells = [
        read_account(path.parent / 'result.json') or read_account(path)
        for path in out.glob('*/seed*/cell.json')
    ]
    return sorted(
        cells,
        key=lambda c: (c['pair'], not c['alone'], c['method'], c['seed']),
    )


def summarize(cells: List[dict]) -> List[dict]:
    """Return a row of numbers for each config; None where there is none.

    Args:
        cells (list[dict]): As :func:`read_cells` returns them.

    Returns:
        list[dict]: The metric as it is shown, such as in percent, and seconds; ``std``
        is the sample standard deviation over the seeds; ``gain`` is to the mean of
        ``baseline``, the method that is the same student alone, in the same pair.
    """
    groups: Dict[str, List[dict]] = {}
    for cell in cells:
        groups.setdefault(cell['stem'], []).append(cell)
    rows = {stem: _row(group) for stem, group in groups.items()}
    configs = {stem: group[-1] for stem, group in groups.items()}
    for stem, row in rows.items():
        base = rows.get(_baseline(stem, configs))
        row['baseline'] = row['gain'] = row['published_gain'] = None
        if base:
            row['baseline'] = base['method']
            row['gain'] = _minus(row['last_mean'], base['last_mean'])
            row['published_gain'] = _minus(row['published'], base['published'])
    return [*rows.values()]


def _baseline(stem: str, cells: Dict[str, dict]) -> Optional[str]:
    """Return the stem of what a config gains over, None where that is not clear."""
    cell = cells[stem]
    alone = {s: c for s, c in cells.items() if c['alone'] and c['pair'] == cell['pair']}
    named = [s for s, c in alone.items() if c['method'] == BASELINE]
    same = [s for s, c in alone.items() if c['student'] == cell['student']]
    choice = named or same
    return choice[0] if len(choice) == 1 and choice != [stem] else None


def _row(group):
    first = group[-1]
    metric = Metric.of(first['metric'])
    done = [cell for cell in group if 'last' in cell]
    left = [cell for cell in group if 'last' not in cell]
    last = [metric.scale * cell['last']['value'] for cell in done]
    best = [metric.scale * cell['best']['value'] for cell in done]
    teacher, _, student = first['pair'].partition('_')
    return dict(
        method=first['method'],
        pair=first['pair'],
        teacher=teacher if student else '',
        student=student,
        seeds=_seeds(done),
        failed=_seeds(c for c in left if c.get('status') == 'failed'),
        unfinished=_seeds(c for c in left if c.get('status') != 'failed'),
        last_mean=mean(last) if last else None,
        last_std=stdev(last) if len(last) > 1 else None,
        best_mean=mean(best) if best else None,
        best_std=stdev(best) if len(best) > 1 else None,
        published=first['published'].get(first['method']),
        wall_seconds=mean(c['wall_seconds'] for c in done) if done else None,
        config=first['config'],
        revision=joined(r for c in group for r in c.get('revisions', [])),
    )


def joined(values: Iterable) -> str:
    """Return distinct values in their order, with commas."""
    return ', '.join(dict.fromkeys(map(str, values)))


def _minus(a: Optional[float], b: Optional[float]) -> Optional[float]:
    return None if a is None or b is None else a - b


def _seeds(cells) -> str:
    return ' '.join(str(cell['seed']) for cell in cells)
