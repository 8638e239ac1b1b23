"""Tables as text."""

from typing import Optional, Union

Cell = Optional[Union[str, int, float]]


def markdown_table(rows: dict[str, dict[str, Cell]], corner: str = '') -> str:
    """A Markdown table that also reads well on a console.

    Args:
        rows: By name of the row, its cells by name of the column; the first row's
            columns count. They read as :func:`cell_text` writes them.
        corner: Head of the column of names.
    """
    columns = list(next(iter(rows.values())))
    lines = [[corner, *columns]]
    lines += [
        [name, *(cell_text(row[c]) for c in columns)] for name, row in rows.items()
    ]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ['-' * widths[0], *('-' * (w - 1) + ':' for w in widths[1:])])
    return '\n'.join(
        '| '
        + ' | '.join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths))
        )
        + ' |'
        for line in lines
    )


def cell_text(cell: Cell, none: str = '-') -> str:
    """What stands in a cell of a table.

    Args:
        cell: Whole numbers get thousands separators; others three digits that count,
            but at least one decimal and at most three, and what is below 0.001 an
            exponent.
        none: What stands where there is no figure.
    """
    if cell is None:
        return none
    if isinstance(cell, float):
        if 0 < abs(cell) < 0.001:
            return f'{cell:.1e}'
        size = abs(cell)
        return f'{cell:.{3 if size <= 1 else 2 if size < 10 else 1}f}'
    return f'{cell:,}' if isinstance(cell, int) else str(cell)
