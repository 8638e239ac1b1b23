"""Which prediction found which object, as pycocotools matches them."""

import io
from contextlib import redirect_stdout
from typing import Dict, Optional

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .boxes import select_boxes

#: From this IoU on a prediction has found an object.
IOU = 0.5


def confident(predictions: COCO, score: float) -> COCO:
    """Keep the predictions of at least this score."""
    ids = {id for id, box in predictions.anns.items() if box['score'] >= score}
    return select_boxes(predictions, ids)


def box_matches(
    truth: COCO, predictions: COCO, *, any_class: bool = False
) -> Dict[int, Optional[int]]:
    """Match predictions with objects: the highest score first takes the best free one.

    Args:
        truth: Of :func:`read_truth`.
        predictions: Of :func:`read_predictions`.
        any_class: Whether a prediction may take an object of another class.

    Returns:
        dict: By id of the prediction that of its object, None where it has none.
        Predictions on a crowd, which COCO does not judge, are not in there.
    """
    evaluation = COCOeval(truth, predictions, 'bbox')
    params = evaluation.params
    params.useCats = int(not any_class)
    params.iouThrs = np.array([IOU])
    params.areaRng = params.areaRng[:1]  # all sizes
    params.maxDets = [len(predictions.anns)]
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    matches = {}
    for image in filter(None, evaluation.evalImgs):
        for id, match, ignored in zip(
            image['dtIds'], image['dtMatches'][0], image['dtIgnore'][0]
        ):
            if not ignored:
                matches[id] = int(match) or None
    return matches
