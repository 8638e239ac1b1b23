"""Detections of several models side by side."""

from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmengine.structures import InstanceData


class Boxes(NamedTuple):
    """What is drawn onto one image: N boxes.

    Args:
        boxes: Corners x1, y1, x2, y2 in pixels (N, 4).
        labels: Class indices (N,).
        scores: Scores in [0, 1] (N,); None for the ground truth.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: Optional[np.ndarray] = None

    @classmethod
    def of(cls, instances: InstanceData) -> 'Boxes':
        """From mmdet's ``pred_instances`` or ``gt_instances``."""
        found = instances.numpy()
        return cls(found.bboxes, found.labels, found.get('scores'))


def draw_detections(
    path: Union[str, Path],
    images: list[np.ndarray],
    columns: dict[str, list[Boxes]],
    classes: tuple[str, ...],
    score_thr: float = 0.5,
) -> None:
    """Write a grid: a row an image, a column a model.

    Args:
        path: File to write; its ending gives the format.
        images: RGB images, uint8 (H, W, 3).
        columns: By title, the boxes of every image.
        classes: Class names.
        score_thr: Detections below this score are left out.
    """
    inch = 2.6
    figure = Figure(figsize=(inch * len(columns), inch * len(images) + 0.7), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (title, detections) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=10)
        for axis, image, found in zip(axes[:, column], images, detections):
            axis.imshow(image, interpolation='nearest')
            axis.set_axis_off()
            _draw(axis, found, classes, score_thr)
    figure.suptitle(
        f'class and score of every detection from {score_thr} on, a colour a class',
        fontsize=9,
        y=0.005,
        verticalalignment='bottom',
    )
    figure.subplots_adjust(
        left=0.005, right=0.995, bottom=0.03, top=0.95, wspace=0.03, hspace=0.03
    )
    figure.savefig(path)


def _draw(axis, found: Boxes, classes, score_thr: float) -> None:
    for index, (x1, y1, x2, y2) in enumerate(found.boxes):
        label = int(found.labels[index])
        text = classes[label]
        if found.scores is not None:
            if found.scores[index] < score_thr:
                continue
            text += f' {found.scores[index]:.2f}'
        colour = f'C{label % 10}'
        axis.add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=colour, lw=1.3)
        )
        axis.text(
            x1,
            y1,
            text,
            fontsize=7,
            color='white',
            verticalalignment='bottom' if y1 > 10 else 'top',
            bbox=dict(facecolor=colour, edgecolor='none', pad=0.8),
        )
