"""What kinds of errors a detector makes."""

from collections import defaultdict
from typing import Dict

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO

from .boxes import objects
from .matches import IOU, box_matches, confident

#: Below this IoU with all objects a prediction is on the background.
NEAR = 0.1
PREDICTIONS = (
    'right',
    'wrong class',
    'poorly localised',
    'wrong class, poorly localised',
    'duplicate',
    'background',
)
OBJECTS = ('found', 'in an error', 'missed')


def detection_errors(
    truth: COCO, predictions: COCO, score: float = 0.3
) -> Dict[str, Dict[str, int]]:
    """Count right predictions and the kinds of errors.

    The kinds and their order are those of `TIDE: A General Toolbox for Identifying
    Object Detection Errors <https://arxiv.org/abs/2008.08115>`_. Predictions are
    matched within their class at an IoU of 0.5, as for AP50. One without a match is,
    the first that fits,

    - poorly localised: IoU of 0.1 to below 0.5 with its best object of its class;
    - wrong class: IoU of at least 0.5 with an object of another class;
    - duplicate: IoU of at least 0.5 with an object of its class, which a prediction
      of a higher score has taken;
    - background: IoU below 0.1 with every object;
    - wrong class, poorly localised: what remains (TIDE's "both").

    How they are counted (mmkd): predictions from a score on, where TIDE measures what
    AP gains once an error is mended; and the bounds belong to the higher kind.

    Args:
        truth: Of :func:`read_truth`. Crowds are no objects,
            and predictions on them are not counted, as in COCO.
        predictions: Of :func:`read_predictions`.
        score: Predictions below it are not counted.

    Returns:
        dict: ``predictions``, their number by kind (:data:`PREDICTIONS`), and
        ``objects``, the number of those that are found, that are only the object of
        a wrong class or a poor localisation, and that are missed (as in TIDE: neither)
        (:data:`OBJECTS`).
    """
    predictions = confident(predictions, score)
    wanted = objects(truth)
    matches = box_matches(truth, predictions)
    by_image = defaultdict(list)
    for box in wanted.values():
        by_image[box['image_id']].append(box)
    counts = dict.fromkeys(PREDICTIONS, 0)
    taken = set(matches.values()) - {None}
    touched = set()
    for id, match in matches.items():
        box = predictions.anns[id]
        kind, touches = 'right', []
        if match is None:
            kind, touches = _kind_of_error(box, by_image[box['image_id']])
        counts[kind] += 1
        touched.update(touches)
    sizes = (len(taken), len(touched - taken), len(wanted.keys() - taken - touched))
    return dict(predictions=counts, objects=dict(zip(OBJECTS, sizes)))


def _kind_of_error(box, candidates):
    """Return the kind, and a list of the object that a mended box would find."""
    if not candidates:
        return 'background', []
    boxes = [candidate['bbox'] for candidate in candidates]
    ious = mask.iou([box['bbox']], boxes, [0] * len(boxes))[0]
    same = np.array([c['category_id'] == box['category_id'] for c in candidates])
    own, other = ious * same, ious * ~same
    if NEAR <= own.max() < IOU:
        return 'poorly localised', [candidates[own.argmax()]['id']]
    if other.max() >= IOU:
        return 'wrong class', [candidates[other.argmax()]['id']]
    if own.max() >= IOU:
        return 'duplicate', []
    if ious.max() < NEAR:
        return 'background', []
    return 'wrong class, poorly localised', []
