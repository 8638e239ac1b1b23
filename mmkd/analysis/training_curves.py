"""Losses and scores of several trainings over their course."""

from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure

from mmkd.errors import DataError
from mmkd.visualization import Artifact
from mmkd.visualization.curves import curves_figure
from mmkd.visualization.run_log import RunLog

#: What is shown by default where it was logged, beside the losses.
SCORES = ('accuracy/top1', 'coco/bbox_mAP', 'coco/segm_mAP')
UNITS = {'accuracy/': '%', 'coco/': '0 to 1'}

#: Logs by name of the run; those of one name, such as seeds, share a colour.
Runs = Dict[str, List[RunLog]]


def read_runs(texts: Sequence[str]) -> Runs:
    """Read logs of ``DIR`` or ``NAME=DIR``.

    A run without a name gets the end of its path, as much as tells it from others.

    Raises:
        DataError: A folder is no Runner's work dir, or is given twice.
    """
    pairs = []
    for text in texts:
        name, equals, folder = text.partition('=')
        if not equals or Path(text).is_dir():
            name, folder = '', text
        pairs.append((name, Path(folder).resolve()))
    folders = [folder for _, folder in pairs]
    if len(set(folders)) < len(folders):
        raise DataError('a run is given twice; give every work dir once.')
    nameless = [folder for name, folder in pairs if not name]
    depth = 1
    while len({folder.parts[-depth:] for folder in nameless}) < len(nameless):
        depth += 1
    runs: Runs = {}
    for name, folder in pairs:
        log = RunLog(folder)
        if not log.curves:
            raise DataError(
                f'{folder} holds no log of a training (*/vis_data/scalars.json); give '
                "a Runner's work dir, as DIR or NAME=DIR."
            )
        runs.setdefault(name or '/'.join(folder.parts[-depth:]), []).append(log)
    return runs


def default_keys(runs: Runs) -> List[str]:
    """Return all logged losses and the scores of :data:`SCORES` that were logged."""
    keys = dict.fromkeys(key for log in _logs(runs) for key in log.curves)
    losses = [key for key in keys if 'loss' in key]
    return losses + [key for key in SCORES if key in keys]


def curves_artifact(
    runs: Runs, keys: Optional[Sequence[str]] = None
) -> Tuple[Artifact, Figure]:
    """Draw and describe a panel a key, with a curve a run.

    Args:
        runs (dict[str, list[RunLog]]): As of :func:`read_runs`.
        keys (Sequence[str], optional): As in the logs. Defaults to
            :func:`default_keys`.

    Raises:
        DataError: No run logged a key, there is none to show by default, or the runs
            count its steps differently.
    """
    keys = list(keys or default_keys(runs))
    if not keys:
        raise DataError(
            f'the runs logged no loss and none of {", ".join(SCORES)}; name what to '
            'show with --keys.'
        )
    panels, steps, values = {}, {}, {}
    rows = {name: {'runs': len(logs)} for name, logs in runs.items()}
    for key in keys:
        curves = {
            name: [log.curves[key] for log in logs if key in log.curves]
            for name, logs in runs.items()
        }
        panel = {name: logged for name, logged in curves.items() if logged}
        scored = any(key in log.validated for log in _logs(runs))
        label = f'{key}{_unit(key)}, {"validation" if scored else "training"}'
        panels[label], steps[label] = panel, _steps(key, scored, runs)
        values[key] = {
            name: list(map(_finite, logged)) for name, logged in panel.items()
        }
        for name, row in rows.items():
            row[f'last {key}'] = _mean(y[-1] for _, y in curves[name])
            if scored:
                row[f'highest {key}'] = _mean(max(y) for _, y in curves[name])
    title = f'Training curves of {", ".join(runs)}'
    about = (
        'A panel is one logged value, a colour one run; runs of one name share it. '
        'Losses are as logged while training, on augmented batches, and `loss` is '
        'the sum that was minimised with every term of the method, so it does not '
        'compare methods; scores are of the validation set. The table has the last '
        'and, of scores, the highest value (chosen by the same images, so '
        'optimistic), as the mean over the runs of a name.'
    )
    artifact = Artifact('curves', title, about, rows, 'run', values)
    return artifact, curves_figure(panels, title, steps)


def _logs(runs) -> List[RunLog]:
    return [log for logs in runs.values() for log in logs]


def _unit(key) -> str:
    return next((f' ({u})' for start, u in UNITS.items() if key.startswith(start)), '')


def _steps(key, scored, runs) -> str:
    """What the steps of a key count; MMEngine logs scores by epoch where it can."""
    units = {
        log.unit if scored else 'training iterations'
        for log in _logs(runs)
        if key in log.curves
    }
    if not units:
        known = sorted({name for log in _logs(runs) for name in log.curves})
        raise DataError(f'no run logged {key!r}; the logs have {", ".join(known)}.')
    if len(units) > 1:
        raise DataError(
            f'some runs logged {key!r} by epoch and some by iteration; draw them apart.'
        )
    return units.pop()


def _mean(values: Iterable[float]):
    values = list(values)
    if not np.isfinite(values).all():
        return 'not finite'
    return sum(values) / len(values) if values else '-'


def _finite(curve) -> list:
    """The points that JSON can hold."""
    return [[step, value] for step, value in zip(*curve) if np.isfinite(value)]
