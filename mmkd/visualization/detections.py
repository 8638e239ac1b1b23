"""Detections of several models side by side."""

from pathlib import Path
from typing import Union

import cv2
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmkd.visualization.artifact import save_figure

INCH = 2.6  # of one image


def draw_detections(
    path: Union[str, Path],
    columns: dict[str, list[DetDataSample]],
    classes: tuple[str, ...],
    score_thr: float = 0.5,
) -> None:
    """Write a grid: a row an image, first the ground truth, then a column a model.

    Args:
        path: File to write; its ending gives the format.
        columns: By title, a model's data samples of the same images, with
            ``img_path``, ``gt_instances`` and ``pred_instances``.
        classes: Class names.
        score_thr: Detections below this score are left out.
    """
    scenes = next(iter(columns.values()))
    width, height = 1 + len(columns), len(scenes)
    figure = Figure(figsize=(INCH * width, INCH * height + 0.7), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots(height, width, squeeze=False)
    for axis, title in zip(axes[0], ['ground truth', *columns]):
        axis.set_title(title, fontsize=10)
    for row, scene in enumerate(scenes):
        image = cv2.imread(scene.img_path)[..., ::-1]
        for axis in axes[row]:
            axis.imshow(image, interpolation='nearest')
            axis.set_axis_off()
        _draw(axes[row, 0], scene.gt_instances.numpy(), classes)
        for axis, samples in zip(axes[row, 1:], columns.values()):
            boxes = samples[row].pred_instances.numpy()
            _draw(axis, boxes[boxes.scores >= score_thr], classes)
    figure.text(
        0.5,
        0.005,
        f'class and score of every detection from {score_thr} on, a colour a class',
        fontsize=9,
        horizontalalignment='center',
    )
    figure.subplots_adjust(0.005, 0.03, 0.995, 0.95, wspace=0.03, hspace=0.03)
    save_figure(figure, path)


def _draw(axis: Axes, boxes: InstanceData, classes: tuple[str, ...]) -> None:
    for index, (x1, y1, x2, y2) in enumerate(boxes.bboxes):
        label = int(boxes.labels[index])
        text = classes[label]
        if 'scores' in boxes:
            text += f' {boxes.scores[index]:.2f}'
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
