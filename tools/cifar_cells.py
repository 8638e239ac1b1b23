#!/usr/bin/env python
"""Write the cells of configs/cifar100 from their table, cifar100/_base_/cells.py.

--check writes nothing and fails if a cell is not as the table says.

Example:
    python tools/cifar_cells.py
"""

import argparse
from pathlib import Path
from string import Formatter
from typing import Dict, Set

from mmengine.config import Config

from mmkd.configs import load_config
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.files import write_text

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
TABLE = 'cifar100/_base_/cells.py'
CELL = """\
# From _base_/cells.py{source}.
_base_ = ['_base_/{pair}.py', '_base_/{method}.py']
{lines}model = dict(student=_base_.student, teacher=_base_.teacher{losses})
"""
NONE = """\
# From _base_/cells.py.
_base_ = '_base_/{pair}.py'
model = _base_.student
"""
TEACHER = """\
# From _base_/cells.py.
_base_ = '_base_/{pair}.py'
optim_wrapper = dict(optimizer=dict(lr=0.05))
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
"""


def parse_args(description: str) -> argparse.Namespace:
    """Read the flags of the tools that write what is in configs."""
    parser = arguments.parser(description)
    parser.add_argument('--configs', type=Path, default=CONFIGS, help='their folder')
    parser.add_argument('--check', action='store_true', help='fail if out of date')
    return parser.parse_args()


def main() -> None:
    args = parse_args(__doc__)
    texts = write_cells(args.configs)
    if args.check:
        unknown = set((args.configs / 'cifar100').glob('*.py')) - set(texts)
        if unknown:
            raise ConfigError(
                f'{min(unknown)} is no cell of {TABLE}; add it there, or move the file.'
            )
    write_or_check(texts, args.check, 'tools/cifar_cells.py')


def write_or_check(texts: Dict[Path, str], check: bool, tool: str) -> None:
    """Write the files whose text is another, or refuse the first of them.

    Raises:
        ConfigError: A file is to be checked and has another text, or is missing.
    """
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding='utf-8') == text:
            continue
        if check:
            raise ConfigError(
                f'{path} is out of date; change what it is written from, not the file, '
                f'and run {tool}.'
            )
        write_text(path, text)


def read_table(configs: Path) -> Config:
    """Return the table of CIFAR-100's cells: ``pairs`` and ``methods``.

    Raises:
        ConfigError: The folder has none, or it cannot be read.
    """
    if not (configs / TABLE).exists():
        raise ConfigError(
            f'{configs} has no {TABLE}; give the folder of the shipped configs.'
        )
    return load_config(str(configs / TABLE))


def write_cells(configs: Path) -> Dict[Path, str]:
    """Return the text of every cell by its path.

    Raises:
        ConfigError: A pair or a method has no base, or a method has values for other
            pairs than the table's, or others than its lines take.
    """
    table, folder = read_table(configs), configs / 'cifar100'
    for name in (*table.pairs, *table.methods):
        if not (folder / f'_base_/{name}.py').exists():
            raise ConfigError(f'{TABLE} has {name}; write its base, _base_/{name}.py.')
    texts = {}
    for pair in table.pairs:
        # A teacher's own training takes the first of its pairs.
        teacher = f'teacher_{pair.split("_")[0]}'
        texts.setdefault(teacher, TEACHER.format(pair=pair))
        texts[f'none_{pair}'] = NONE.format(pair=pair)
    for method, spec in table.methods.items():
        unknown = set(spec.get('values', ())) - set(table.pairs)
        if unknown:
            raise ConfigError(
                f'{TABLE}: {method} has values for {min(unknown)}, which is none of '
                'pairs; add it there, or correct the name.'
            )
        for pair in table.pairs:
            texts[f'{method}_{pair}'] = write_cell(method, spec, pair)
    return {folder / f'{name}.py': text for name, text in texts.items()}


def write_cell(method: str, spec: dict, pair: str) -> str:
    """Return the text of the cell of a method and a pair."""
    values = dict(spec.get('values', {}).get(pair, {}))
    source = values.pop('source', spec.get('source'))
    taken = {line: placeholders(line) for line in spec.get('lines', ())}
    names = set().union(*taken.values())
    if set(values) != names or bool(names) != bool(source):
        raise ConfigError(
            f'{TABLE}: {method} has the values {sorted(values)} for {pair}, with the '
            f'source {source!r}; its lines take {sorted(names)}: give these, and a '
            'source where there are some.'
        )
    lines = [
        line.format(**values)
        for line, named in taken.items()
        if None not in map(values.get, named)
    ]
    return CELL.format(
        source=f': {source}' if source else '',
        pair=pair,
        method=method,
        lines=''.join(f'{line}\n' for line in lines),
        losses=', losses=losses' * any(line.startswith('losses =') for line in lines),
    )


def placeholders(line: str) -> Set[str]:
    """Return the names of the values that a line takes."""
    return {name for _, name, _, _ in Formatter().parse(line) if name}


if __name__ == '__main__':
    run(main)
