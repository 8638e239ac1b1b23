"""Keeping what does not compare out of a benchmark's folder."""

from pathlib import Path
from typing import Sequence

from mmengine.logging import print_log

from mmkd.errors import ConfigError, DamagedError

from .account import ACCOUNT, LATER, read_account, write_account
from .cell import Cell

ELSEWHERE = 'give another --out or delete that folder.'


def check_folder(out: Path, cells: Sequence[Cell], request: dict) -> None:
    """Never mix: neither in a cell's folder, nor in a row, nor in a table.

    Args:
        out (Path): Folder of the benchmark.
        cells (Sequence[Cell]): What is to be trained there.
        request (dict): How configs are changed.

    Raises:
        ConfigError: ``out`` or ``cells`` hold what does not belong together.
        DataError: What a cell's folder says of itself is damaged or of another format.
    """
    wanted = {cell.stem: cell.facts for cell in cells}
    folders = [cell.folder for cell in cells]
    rows, table = {}, {}
    for stem, facts in wanted.items():
        _check_table(stem, facts, rows, table)
    for path in sorted(out.glob('*/seed*')):
        account = _mended(path, path in folders)
        if account:
            facts = wanted.get(account['stem'], account)
            _check_cell(path, account, facts, request)
            _check_table(path, account, rows, table)
        elif any(path.glob('*.pth')) or any(path.glob('*/vis_data')):
            raise ConfigError(
                f'{path} holds a training that is not of a benchmark; delete that '
                'folder or give another --out.'
            )


def _mended(folder, wanted):
    """Return a cell's account; make again what is damaged and can be."""
    path, end = folder / 'cell.json', folder / 'result.json'
    try:
        account = read_account(path)
    except DamagedError as error:
        result = read_account(end)
        if not result:
            raise
        print_log(f'{error} Made again from {end.name}.', 'current')
        account = {key: result[key] for key in (*ACCOUNT, *LATER) if key in result}
        write_account(path, account)
        return account
    try:
        read_account(end)
    except DamagedError as error:
        if not wanted:
            raise
        print_log(f'{error} It is made again now.', 'current')
        end.unlink()
    return account


def _check_cell(path, account, facts, request):
    if account['request'] != request:
        was = {k: v for k, v in account['request'].items() if v != request.get(k)}
        now = {k: request.get(k) for k in was}
        raise ConfigError(
            f'{path} was made with {was}, wanted is {now}: one table has one '
            f'protocol; {ELSEWHERE}'
        )
    if account['config'] != facts['config']:
        raise ConfigError(
            f'{path} holds a training of the config {account["config"]}, wanted is '
            f'{facts["config"]}: the config or its teacher has changed; {ELSEWHERE}'
        )


def _check_table(where, facts, rows, table):
    """Check facts against those before, of ``table`` as a whole and of its ``rows``."""
    for key in ('metric', 'unit'):
        first, value = table.setdefault(key, (where, facts[key]))
        if value != facts[key]:
            raise ConfigError(
                f'{first} has the {key} {value}, {where} has {facts[key]}: one table '
                f'has one {key}; {ELSEWHERE}'
            )
    row = f'{facts["method"]}, {facts["pair"]}'
    if rows.setdefault(row, facts['stem']) != facts['stem']:
        raise ConfigError(
            f'{rows[row]} and {facts["stem"]} are both named "{row}" in the table; '
            "tell them apart with benchmark=dict(method='...', pair='...') in a config."
        )
