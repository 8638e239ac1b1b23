"""All that MMEngine's Runner logged of a training."""

import functools
import json
import logging
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

from mmengine.logging import print_log

from mmkd.errors import DataError

#: A curve: steps and values.
Curve = Tuple[List[int], List[float]]
#: What is logged besides figures.
ASIDE = ('step', 'time', 'data_time', 'memory')


class RunLog:
    """The logged numbers of one run, read once.

    Where a run was resumed, the later value of a step counts. A line that is not
    whole is left out, with a warning where it is not the last one of a run under way
    or killed.

    Args:
        work_dir (Path): The Runner's.

    Attributes:
        curves (dict[str, Curve]): Steps and values by name.
        validated (list[str]): Names of the validation figures, those logged most
            often first.
        unit (str): What a validation's step counts, ``'epoch'`` or
            ``'training iterations'``.
        begun (bool): Whether anything was written, whole or not.
    """

    def __init__(self, work_dir: Path) -> None:
        self.begun = any(path.stat().st_size for path in _files(work_dir))
        values: Dict[str, Dict[int, float]] = {}
        training = set()
        for entry in _entries(work_dir):
            for name, value in entry.items():
                if name not in ASIDE and _is_figure(value):
                    values.setdefault(name, {})[entry['step']] = value
                    if 'iter' in entry:  # which validations have not
                        training.add(name)
        self.curves = {name: _curve(points) for name, points in values.items()}
        self.validated = sorted(
            (name for name in values if name not in training),
            key=lambda name: -len(values[name]),
        )
        epochs = max(values.get('epoch', {}).values(), default=0)
        last = max((max(values[name]) for name in self.validated), default=0)
        self.unit = 'epoch' if last <= epochs else 'training iterations'

    def own_loss(self) -> Curve:
        """Return the training loss without what distillation adds to it.

        A distillation loss is told by its weight, which mmkd's Distiller logs beside
        it, by the same name with ``weight`` for each ``loss``.
        """
        steps, values = self.curves.get('loss', ([], []))
        training = (name for name in self.curves if name not in self.validated)
        for name in training:
            weight = name.replace('loss', 'weight')
            if weight in self.curves and name not in ('loss', weight):
                added = dict(zip(*self.curves[name]))
                values = [v - added.get(s, 0.0) for s, v in zip(steps, values)]
        return steps, values


def read_scalars(
    work_dir: Union[str, Path],
    key: str,
    less: str = '',
    empty: Optional[float] = None,
) -> Curve:
    """Collect what MMEngine's Runner logged under one name.

    Args:
        work_dir (str | Path): The Runner's; where a run was resumed, the later value
            of an iteration counts.
        key (str): As in the log, such as ``'loss'`` or ``'coco/bbox_mAP'``.
        less (str): Name of a value to subtract where it was logged, too.
        empty (float, optional): What stands for a validation of which nothing but
            times was logged. Defaults to None, for nothing.

    Returns:
        Curve: Iterations and values, empty where nothing was logged.
    """
    values: Dict[int, float] = {}
    for entry in _entries(Path(work_dir)):
        if _is_figure(entry.get(key)):
            added = entry[less] if _is_figure(entry.get(less)) else 0.0
            values[entry['step']] = entry[key] - added
        elif empty is not None and {'step'} <= set(entry) <= set(ASIDE):
            values[entry['step']] = empty
    return _curve(values)


def find_runs(folder: Path) -> List[Path]:
    """Return the Runners' work folders, at and below a folder, that hold a log."""
    logs = folder.rglob('*/vis_data/scalars.json')
    return sorted({log.parents[2] for log in logs})


def _files(work_dir: Path) -> List[Path]:
    return sorted(Path(work_dir).glob('*/vis_data/scalars.json'))


def _entries(work_dir: Path) -> Iterator[dict]:
    for path in _files(work_dir):
        lines = _text(path).splitlines()
        for number, line in enumerate(lines, start=1):
            entry = _entry(line)
            if entry:
                yield entry
            elif number < len(lines) and line.strip():
                _warn(path, number)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8', errors='replace')
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}.') from error


def _entry(line: str) -> dict:
    """Return what a line holds, nothing where it is not whole."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    step = entry.get('step') if isinstance(entry, dict) else None
    return entry if isinstance(step, int) and abs(step) < 2**53 else {}


def _is_figure(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@functools.cache  # once
def _warn(path: Path, number: int) -> None:
    print_log(
        f'{path}: line {number} is damaged and left out.', 'current', logging.WARNING
    )


def _curve(points: Dict[int, float]) -> Curve:
    steps = sorted(points)
    return steps, [points[step] for step in steps]
