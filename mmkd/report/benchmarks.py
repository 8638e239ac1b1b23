"""The benchmarks of a report, from what ``tools/run_benchmark.py`` wrote."""

import csv
import datetime
import re
from html import escape
from pathlib import Path
from typing import Dict, List

from .page import download, paragraph, table

#: Columns that tell a benchmark's ``results.csv`` from other files of this name.
COLUMNS = {'method', 'pair', 'last_mean', 'published_gain', 'protocol'}
#: As the table's heads cannot say it in short.
INCOMPARABLE = 'Published figures are of the full protocol: not comparable with these.'


def find_benchmarks(folder: Path) -> List[Path]:
    """Return the ``results.csv`` of benchmarks at and below a folder."""
    return [path for path in sorted(folder.rglob('results.csv')) if _read(path)]


def benchmark_table(path: Path) -> str:
    """Return the table of a ``results.csv`` and the notes of ``results.md`` to it."""
    rows = _read(path)
    protocol = rows[0]['protocol']
    reduced = 'REDUCED' in protocol
    mark = ', full protocol' if reduced else ''
    shown = {
        f'{row["method"]}, {row["pair"].replace("_", " → ", 1)}': {
            'seeds': _seeds(row),
            'last top-1 (%)': _mean(row, 'last'),
            'best top-1 (%)': _mean(row, 'best'),
            'gain': _number(row['gain'], '+.2f'),
            f'published top-1 (%){mark}': _number(row['published'], '.2f'),
            f'published gain{mark}': _number(row['published_gain'], '+.2f'),
            'wall time a run': _clock(row['wall_seconds']),
            'config': row['config'],
            'revision': row['revision'] or None,
        }
        for row in rows
    }
    saved = download(path.name, path.read_bytes(), 'text/csv')
    return '\n'.join(
        [
            paragraph(protocol),
            table(shown, protocol, 'method, pair'),
            paragraph(INCOMPARABLE, 'source') if reduced else '',
            _notes(path.with_suffix('.md')),
            f'<p class="source">Unrounded: {saved}</p>',
        ]
    )


def _read(path: Path) -> List[Dict[str, str]]:
    with open(path, encoding='utf-8', errors='replace', newline='') as file:
        rows = list(csv.DictReader(file))
    return rows if rows and COLUMNS <= set(rows[0]) else []


def _notes(path: Path) -> str:
    """Return the list below the table of ``results.md``, which explains its columns."""
    text = path.read_text(encoding='utf-8') if path.exists() else ''
    lines = [line[2:] for line in text.splitlines() if line.startswith('- ')]
    notes = '\n'.join(f'<li>{_code(line)}</li>' for line in lines)
    return f'<ul class="notes">\n{notes}\n</ul>' if notes else ''


def _code(line):
    return re.sub('`(.+?)`', r'<code>\1</code>', escape(line))


def _seeds(row):
    parts = [row['seeds']] if row['seeds'] else []
    parts += [f'{key}: {row[key]}' for key in ('failed', 'unfinished') if row[key]]
    return ', '.join(parts)


def _mean(row, which):
    if not row[f'{which}_mean']:
        return 'failed' if row['failed'] else None
    spread = row[f'{which}_std']
    mean = format(float(row[f'{which}_mean']), '.2f')
    return f'{mean} ± {float(spread):.2f}' if spread else mean


def _number(text, spec):
    return format(float(text), spec) if text else None


def _clock(seconds):
    return str(datetime.timedelta(seconds=round(float(seconds)))) if seconds else None
