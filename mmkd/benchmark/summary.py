"""Means over seeds."""

from pathlib import Path
from statistics import mean, stdev
from typing import Dict, Iterable, List, Optional

from mmkd.files import read_json

#: Method of the student alone.
BASELINE = 'none'


def read_cells(out: Path) -> List[dict]:
    """Return the results of a folder, and the accounts of cells without one.

    Pair by pair, the baseline first, then the methods by name; then by seed.
    """
    cells = [
        read_json(path.parent / 'result.json') or read_json(path)
        for path in out.glob('*/seed*/cell.json')
    ]
    return sorted(
        cells,
        key=lambda c: (c['pair'], c['method'] != BASELINE, c['method'], c['seed']),
    )


def summarize(cells: List[dict]) -> List[dict]:
    """Return a row of numbers for each config; None where there is none.

    Args:
        cells (list[dict]): As :func:`read_cells` returns them.

    Returns:
        list[dict]: Top-1 in percent and seconds; ``std`` is the sample standard
        deviation over the seeds; ``gain`` is to the mean of the pair's own baseline.
    """
    groups: Dict[str, List[dict]] = {}
    for cell in cells:
        groups.setdefault(cell['stem'], []).append(cell)
    rows = [_row(group) for group in groups.values()]
    baselines = {r['pair']: r for r in rows if r['method'] == BASELINE}
    for row in rows:
        base = baselines.get(row['pair'])
        row['gain'] = row['published_gain'] = None
        if base and base is not row:
            row['gain'] = _minus(row['last_mean'], base['last_mean'])
            row['published_gain'] = _minus(row['published'], base['published'])
    return rows


def _row(group):
    first = group[-1]
    done = [cell for cell in group if 'last' in cell]
    last = [cell['last']['top1'] for cell in done]
    best = [cell['best']['top1'] for cell in done]
    teacher, _, student = first['pair'].partition('_')
    return dict(
        method=first['method'],
        pair=first['pair'],
        teacher=teacher,
        student=student,
        seeds=_seeds(done),
        failed=_seeds(c for c in group if c not in done and c['status'] == 'failed'),
        unfinished=_seeds(
            c for c in group if c not in done and c['status'] != 'failed'
        ),
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
