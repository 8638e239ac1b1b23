"""Probes of several networks as a table and a picture."""

import textwrap
from typing import Any, Dict, List, Tuple

import numpy as np
from matplotlib.figure import Figure

from mmkd.visualization import Artifact, new_figure

from .classifiers.train_grid import Setting
from .evaluation import Run
from .protocol import Protocol
from .statistics import bootstrap_interval, compare, holm, seeds_interval
from .targets import Target


def summarize(results: Dict[str, List[Run]]) -> List[Dict[str, Any]]:
    """Put figures to each name; the first one is what the others are compared with.

    Args:
        results (dict[str, list[Run]]): From :func:`evaluate`.

    Returns:
        list[dict]: A row a name: accuracies, intervals and differences in percent,
        p-values, settings.
    """
    reference = next(iter(results))
    right = {
        name: np.stack([run.right for run in runs]) for name, runs in results.items()
    }
    rows = []
    for name, runs in results.items():
        accuracies = (100 * right[name].mean(1)).tolist()
        row = dict(
            name=name,
            checkpoints=[run.checkpoint for run in runs],
            seeds=[run.seed for run in runs],
            width=runs[0].width,
            top1=float(np.mean(accuracies)),
            top5=100 * float(np.mean([run.right5 for run in runs])),
            top1_of_runs=accuracies,
            over_images=bootstrap_interval(right[name]),
            over_runs=seeds_interval(accuracies),
            chosen=[_text(run.chosen) for run in runs],
        )
        if name != reference:
            row.update(compare(right[name], right[reference])._asdict())
        rows.append(row)
    for row, p in zip(rows[1:], holm([row['p'] for row in rows[1:]])):
        row['p_holm'] = float(p)
    return rows


def comparison(
    results: Dict[str, List[Run]], target: Target, protocol: Protocol
) -> Tuple[Artifact, Figure]:
    """Return table and picture of a comparison.

    Args:
        results (dict[str, list[Run]]): From :func:`evaluate`.
        target (Target): The data set.
        protocol (Protocol): How it was probed.
    """
    rows = summarize(results)
    several = any(len(row['top1_of_runs']) > 1 for row in rows)
    table = {}
    for row in rows:
        cells = {
            'features': row['width'],
            'top-1 (%)': f'{row["top1"]:.2f}',
            '95 % over images': _interval(row['over_images']),
        }
        if several:
            cells['95 % over runs'] = _interval(row['over_runs'])
            cells['runs'] = len(row['top1_of_runs'])
        cells['top-5 (%)'] = f'{row["top5"]:.2f}'
        if len(rows) > 1:
            other = 'difference' in row
            cells[f'minus {rows[0]["name"]}'] = (
                f'{row["difference"]:+.2f}' if other else '-'
            )
            cells['95 % over images (paired)'] = (
                _interval((row['low'], row['high']), '+.2f') if other else '-'
            )
            cells['p over images'] = _p(row.get('p'))
            cells['p (Holm)'] = _p(row.get('p_holm'))
            if several:
                cells['p over runs'] = _p(row.get('p_runs'))
        cells['chosen'] = '; '.join(dict.fromkeys(row['chosen']))
        table[row['name']] = cells
    artifact = Artifact(
        'linear_probe',
        f'Linear probe on {target.name}: {len(target.classes)} classes, '
        f'{len(target.train)} training and {len(target.val)} test images',
        _about(protocol, rows, several),
        table,
        'network',
        dict(
            target=target.name,
            classes=len(target.classes),
            train_images=len(target.train),
            val_images=len(target.val),
            protocol=vars(protocol),
            rows=rows,
        ),
    )
    return artifact, _draw(rows, artifact.title, several)


def _about(protocol, rows, several) -> str:
    text = 'A linear classifier on frozen features: accuracy on the test images.'
    if protocol.grid > 1:
        text += (
            f' Each probe was chosen among {protocol.grid} settings by the '
            f'cross-entropy on {100 * protocol.held_out:g} % of the training images '
            'and trained again on all of them.'
        )
    if protocol.references:
        names = ', '.join(name.replace('_', ' ') for name in protocol.references)
        text += f' Rows that end in {names}: that classifier on the same features.'
    text += ' Bars: 95 % bootstrap interval over the test images.'
    if len(rows) > 1:
        text += (
            f' Differences are to {rows[0]["name"]} on the same images. p over images: '
            "McNemar's exact test, or for several runs a paired bootstrap; whether "
            'these very checkpoints differ on other images. Holm corrects for the '
            f'number of comparisons, {len(rows) - 1}.'
        )
    if several:
        text += " Over runs: Student's t, and Welch's for p; "
        text += (
            'runs are seeds of the probe, and of random weights, so they say nothing '
            'of another training.'
            if len(protocol.seeds) > 1
            else 'whether methods differ with other seeds.'
        )
    return text


def _draw(rows, title, several) -> Figure:
    names = [textwrap.fill(row['name'], 32) for row in rows]
    lines = 1 + max(name.count('\n') for name in names)
    figure = new_figure(9.0, 1.4 + max(0.42, 0.18 * lines) * len(rows))
    axis, places = figure.subplots(), np.arange(len(rows))
    low, high = np.transpose([row['over_images'] for row in rows])
    label = '95 % over images'
    axis.hlines(places, low, high, color='C0', linewidth=2, label=label)
    for ends in (low, high):
        axis.scatter(ends, places, s=80, color='C0', marker='|', linewidth=2)
    top1 = [row['top1'] for row in rows]
    label = 'mean of the runs' if several else 'accuracy'
    # Smaller than the interval's ends, which stay in sight of a narrow one.
    axis.scatter(top1, places, s=25, color='C1', marker='D', zorder=3, label=label)
    if several:
        runs = [row['top1_of_runs'] for row in rows]
        below = np.repeat(places + 0.25, [len(each) for each in runs])
        dots = dict(s=20, color='white', edgecolor='black', label='a run')
        axis.scatter(np.concatenate(runs), below, **dots)
    axis.set_yticks(places, names)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    left, right = axis.get_xlim()
    axis.set_xlim(max(left, 0), min(right, 100))
    for mark in axis.collections:
        mark.set_clip_on(False)  # half of it would be beyond 0 or 100 %
    figures = [
        f'{row["top1"]:.1f} ({_interval(row["over_images"], ".1f")})' for row in rows
    ]
    beside = axis.secondary_yaxis('right')
    beside.set_yticks(places, figures)
    beside.tick_params(length=0, pad=8)
    axis.set_xlabel('top-1 accuracy on the test images (%)')
    axis.grid(axis='x', alpha=0.3)
    figure.legend(loc='outside lower center', ncols=3, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def _text(chosen) -> str:
    if isinstance(chosen, Setting):
        return f'{chosen.layer}, lr {chosen.lr:g}, wd {chosen.weight_decay:g}'
    return f'k {chosen}' if isinstance(chosen, int) else f'wd {chosen:g}'


def _interval(ends, spec='.2f') -> str:
    return '-' if ends is None else ' to '.join(format(end, spec) for end in ends)


def _p(value) -> str:
    if value is None:
        return '-'
    return f'{value:.3f}' if value >= 0.001 else f'{value:.0e}'
