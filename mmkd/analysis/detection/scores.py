"""COCO's figures of a detector, as pycocotools computes them."""

import io
from contextlib import redirect_stdout
from typing import Dict

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

#: In the order of ``COCOeval.stats``, see https://cocodataset.org/#detection-eval.
FIGURES = ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large', 'AR@1', 'AR@10')
FIGURES += ('AR', 'AR small', 'AR medium', 'AR large')


def detection_scores(truth: COCO, predictions: COCO) -> Dict[str, Dict[str, float]]:
    """Compute average precision and recall of boxes, from 0 to 1.

    AP is the mean over the IoU thresholds 0.50, 0.55, ... 0.95 and over the classes;
    small, medium and large are areas below 32², up to 96² and above, in pixels. At
    most 100 predictions a class and image count. mmdet's ``CocoMetric`` differs in that
    it takes 1000 for all but AP, and that it leaves out the classes that the detector
    was not trained for.

    Args:
        truth: Of :func:`read_truth`.
        predictions: Of :func:`read_predictions`.

    Returns:
        dict: ``overall``, by :data:`FIGURES`, and ``classes``, the AP by name of the
        class in order of the category ids. What is undefined for want of objects (a
        size, a class) is not in there.
    """
    evaluation = COCOeval(truth, predictions, 'bbox')
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # pycocotools writes -1 for undefined.
    overall = {
        name: float(value)
        for name, value in zip(FIGURES, evaluation.stats)
        if value > -1
    }
    # IoU thresholds, recalls, classes, areas (all first), numbers of predictions.
    precision = evaluation.eval['precision'][..., 0, -1].mean(axis=(0, 1))
    classes = {
        truth.cats[id]['name']: float(value)
        for id, value in zip(evaluation.params.catIds, precision)
        if value > -1
    }
    return dict(overall=overall, classes=classes)
