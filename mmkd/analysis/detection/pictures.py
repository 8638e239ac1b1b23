"""Pictures of what detectors get right and wrong."""

import textwrap
from typing import Dict, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from mmkd.analysis.presentation import heading
from mmkd.visualization import new_figure

from .errors import OBJECTS, PREDICTIONS

GREEN, GREY = '#4c9f70', '#b0b0b0'
COLOURS = {
    'right': GREEN,
    'wrong class': '#d1495b',
    'poorly localised': '#edae49',
    'wrong class, poorly localised': '#8d5a97',
    'duplicate': '#30638e',
    'background': GREY,
    'found': GREEN,
    'in an error': '#c08552',
    'missed': '#404040',
}
NUMBERED = 30  # rows of a heat map up to which cells have numbers
LETTER = 0.075  # inches in the size of tick labels
CELL = 0.31  # inches of a cell of a heat map, at least
NAME_WIDTH = 32  # letters of a model's name in a line


def draw_class_ap(
    models: Dict[str, Dict[str, float]], labels: Dict[str, str], title: str
) -> Figure:
    """Draw the AP of classes as dots, a row a class, joined by a line.

    Args:
        models (dict): By model the AP of each class, 0 to 1.
        labels (dict): What to call each class to be drawn, from the top row down.
        title (str): Heading.
    """
    width = 5.5 + LETTER * max(map(len, labels.values()))
    figure = new_figure(width, 2.6 + 0.19 * len(labels))
    axis = figure.subplots()
    places = np.arange(len(labels))
    values = np.array([[ap[name] for name in labels] for ap in models.values()])
    axis.hlines(places, values.min(0), values.max(0), color='0.75', zorder=1)
    for index, (name, row) in enumerate(zip(models, values)):
        marker = 'osD^v<>P'[index % 8]
        axis.scatter(row, places, s=22, marker=marker, label=name, zorder=2)
    axis.set_yticks(places, labels.values(), fontsize=8)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel('AP (0 to 1; mean over IoU 0.50 to 0.95)')
    axis.set_ylabel('class (number of objects)')
    axis.grid(axis='x', alpha=0.3)
    heading(figure, title)
    _legend(figure, axis)
    return figure


def draw_size_ap(
    models: Dict[str, Dict[str, float]], labels: Dict[str, str], title: str
) -> Figure:
    """Draw groups of bars, one a figure, one bar a model; undefined ones are missing.

    Args:
        models (dict): By model its figures, 0 to 1.
        labels (dict): What to call each figure.
        title (str): Heading.
    """
    figure = new_figure(max(7.5, 1.5 + 0.35 * len(labels) * len(models)), 4.6)
    axis = figure.subplots()
    width = 0.8 / len(models)
    for index, (name, figures) in enumerate(models.items()):
        shift = (index - (len(models) - 1) / 2) * width
        places = [i + shift for i, key in enumerate(labels) if key in figures]
        values = [figures[key] for key in labels if key in figures]
        bars = axis.bar(places, values, width * 0.94, label=name)
        axis.bar_label(bars, fmt='%.2f', fontsize=7, padding=2)
    axis.set_xticks(range(len(labels)), labels.values(), fontsize=8)
    axis.set_xlim(-0.6, len(labels) - 0.4)
    axis.set_ylim(0, 1.05)
    axis.set_xlabel('IoU thresholds or size of the objects')
    axis.set_ylabel('AP or AR (0 to 1)')
    axis.grid(axis='y', alpha=0.3)
    axis.set_axisbelow(True)
    heading(figure, title)
    _legend(figure, axis)
    return figure


def draw_errors(models: Dict[str, Dict[str, Dict[str, int]]], title: str) -> Figure:
    """Draw a stacked bar a model of its predictions, and of the objects.

    Args:
        models (dict): By model what
            :func:`detection_errors` returns.
        title (str): Heading.
    """
    figure = new_figure(9, 3.4 + 0.7 * len(models))
    panels = dict(predictions=PREDICTIONS, objects=OBJECTS)
    names = [textwrap.fill(name, NAME_WIDTH) for name in models]
    for axis, (what, kinds) in zip(figure.subplots(2, 1), panels.items()):
        counts = np.array([[m[what][kind] for kind in kinds] for m in models.values()])
        left = np.zeros(len(models))
        for kind, column in zip(kinds, counts.T):
            bars = axis.barh(names, column, 0.7, left, color=COLOURS[kind])
            bars.set_label(kind)
            # A number where it has room.
            wide = column > 0.05 * max(counts.sum(1).max(), 1)
            texts = [f'{n:,}' if fits else '' for n, fits in zip(column, wide)]
            axis.bar_label(bars, texts, label_type='center', fontsize=8, color='white')
            left += column
        axis.set_xlim(0, 1.03 * max(left.max(), 1))
        axis.tick_params(axis='y', labelsize=8)
        axis.invert_yaxis()
        axis.set_xlabel(f'{what} (number)')
        axis.legend(loc='center left', bbox_to_anchor=(1, 0.5), fontsize=8)
    heading(figure, title)
    return figure


def draw_confusion(
    shares: ndarray, rows: Sequence[str], columns: Sequence[str], title: str
) -> Figure:
    """Draw a heat map of shares, rows of which add up to 1 or are NaN: undefined."""
    figure = new_figure(
        2.5 + LETTER * max(map(len, rows)) + max(CELL * len(columns), 3),
        1.4 + LETTER * max(map(len, columns)) + max(CELL * len(rows), 3),
    )
    axis = figure.subplots()
    image = axis.imshow(100 * shares, cmap='Blues', vmin=0, vmax=100)
    axis.set_facecolor('0.85')  # behind what is undefined
    axis.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.set_xlabel('predicted class')
    axis.set_ylabel('true class (number of objects)')
    if len(rows) <= NUMBERED:
        for (row, column), share in np.ndenumerate(100 * shares):
            if share >= 0.5:
                colour = 'white' if share > 55 else 'black'
                position = dict(ha='center', va='center', fontsize=7, color=colour)
                axis.text(column, row, f'{share:.0f}', **position)
    bar = figure.colorbar(image, ax=axis, shrink=0.8)
    bar.set_label('share of the row (%)')
    heading(figure, title)
    return figure


def _legend(figure, axis):
    handles, names = axis.get_legend_handles_labels()
    # A handle takes as much room as some letters.
    column = LETTER * (10 + max(map(len, names)))
    columns = max(1, int(figure.get_figwidth() / column))
    place = dict(loc='outside lower center', ncols=columns, fontsize=8)
    figure.legend(handles, names, **place)
