"""What a detector takes the objects of each class for."""

from typing import List

import numpy as np
from pycocotools.coco import COCO

from .boxes import objects, select_boxes
from .matches import box_matches, confident


def detection_confusion(
    truth: COCO, predictions: COCO, score: float = 0.3
) -> np.ndarray:
    """Count which class was found where which was to be found.

    How they are matched (mmkd): the predictions, the highest score first, each take the
    free object of the highest IoU, of at least 0.5, whatever the class. An object found
    twice thus counts with the class of the higher score, where :func:`detection_errors`
    matches within a class as AP does; so the diagonal may differ from its count of
    right predictions.

    Args:
        truth: Of :func:`read_truth`, of C categories. Crowds
            are no objects, and predictions on one of their class are not counted.
        predictions: Of :func:`read_predictions`.
        score: Predictions below it are not counted.

    Returns:
        numpy.ndarray: Counts (C + 1, C + 1), true class by predicted class in order of
        the category ids. The last row are predictions without an object, the last
        column objects without a prediction.
    """
    index = {id: place for place, id in enumerate(sorted(truth.cats))}
    nothing = len(index)
    predictions = confident(predictions, score)
    predictions = select_boxes(predictions, box_matches(truth, predictions).keys())
    matches = box_matches(truth, predictions, any_class=True)
    wanted = objects(truth)
    counts = np.zeros((nothing + 1, nothing + 1), dtype=int)
    for id, box in predictions.anns.items():
        # One on another class's crowd has no match: it is false there, too.
        match = wanted.pop(matches.get(id), None)
        row = nothing if match is None else index[match['category_id']]
        counts[row, index[box['category_id']]] += 1
    for box in wanted.values():
        counts[index[box['category_id']], nothing] += 1
    return counts


def most_confused(counts: List[np.ndarray], most: int) -> np.ndarray:
    """Return the places of the classes that are most often taken for another, sorted.

    Args:
        counts (list): Of each model, see
            :func:`detection_confusion`.
        most (int): How many to return at most.
    """
    between = np.sum(counts, axis=0)[:-1, :-1]
    np.fill_diagonal(between, 0)
    wrong = between.sum(0) + between.sum(1)
    return np.sort(np.argsort(-wrong, kind='stable')[:most])
