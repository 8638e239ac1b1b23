"""What is noted of a cell in its folder: ``cell.json`` and ``result.json``."""

from pathlib import Path

from mmkd.records import NUMBER, check, fits, read_record, write_record

from .metric import TOP1

FORMAT = 'mmkd.cell/1'
#: What to do where one is damaged.
ADVICE = {
    'cell.json': 'delete its folder, and tools/run_benchmark.py trains it again',
    'result.json': 'delete it, and tools/run_benchmark.py makes it again from the log',
}


def _figure(value) -> bool:
    """Whether it is a step and the metric there."""
    return isinstance(value, dict) and all(
        fits(value.get(key), kind) for key, kind in dict(step=int, value=NUMBER).items()
    )


def _curve(value) -> bool:
    """Whether it is a list of steps with a number each, which may be NaN."""
    return isinstance(value, list) and all(
        isinstance(point, list)
        and len(point) == 2
        and fits(point[0], int)
        and isinstance(point[1], NUMBER)
        for point in value
    )


#: What an account holds, what it may hold, and what a result holds beside it.
ACCOUNT = dict(
    stem=str,
    method=str,
    pair=str,
    seed=int,
    alone=bool,
    student=(str, type(None)),
    metric=str,
    unit=str,
    length=int,
    config=str,
    published={str: NUMBER},
    reduced=[str],
    request={str: lambda value: True},
    dataset=str,
)
LATER = dict(status=str, wall_seconds=NUMBER, revisions=[str], jobs=int)
RESULT = dict(
    last=_figure,
    best=_figure,
    curve=_curve,
    wall_seconds=NUMBER,
    versions={str: str},
    device=str,
    date=str,
)
#: Of before other metrics than top-1 were known.
OLD = dict(method=str, max_epochs=int)


def write_account(path: Path, account: dict) -> None:
    """Write the account or the result of a cell, with its format."""
    write_record(path, FORMAT, account)


def read_account(path: Path) -> dict:
    """Read the account or the result of a cell, empty where there is none.

    Those of before other metrics than top-1 were known come as of today.

    Raises:
        DamagedError: It is not whole, or does not hold what it has to.
        DataError: It is of another format, or cannot be read.
    """
    advice = ADVICE[path.name]
    account = read_record(path, FORMAT, {}, advice)
    if not path.exists():
        return account
    if 'metric' not in account:
        check(account, OLD, path, advice)
        account = _as_of_today(account)
    later = dict(LATER, train_loss=_curve)
    later = {key: kind for key, kind in later.items() if key in account}
    check(account, dict(ACCOUNT, **later), path, advice)
    if 'last' in account or path.name == 'result.json':
        check(account, RESULT, path, advice)
    return account


def _as_of_today(account):
    for key in ('last', 'best'):
        old = account.get(key)
        if isinstance(old, dict):
            account[key] = dict(step=old.get('epoch'), value=old.get('top1'))
    epochs = account.pop('max_epochs')
    student = dict(alone=account['method'] == 'none', student=None)
    return dict(account, metric=TOP1, unit='epoch', length=epochs, **student)
