"""Several detectors on the same images: figures and pictures, written to a folder."""

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from pycocotools.coco import COCO

from mmkd.errors import ConfigError
from mmkd.visualization import Artifact

from .artifacts import (
    class_ap_artifact,
    confusion_artifact,
    errors_artifact,
    size_ap_artifact,
)
from .confusion import detection_confusion, most_confused
from .errors import detection_errors
from .scores import detection_scores

MOST_CONFUSED = 25  # classes in the picture of the confusions


def write_detection_report(
    truth: COCO,
    models: Dict[str, COCO],
    folder: Union[str, Path],
    data: str,
    score: float = 0.3,
    settings: Optional[Dict[str, Any]] = None,
) -> List[Artifact]:
    """Compare detectors: AP by size and by class, kinds of errors, confusions.

    Args:
        truth (COCO): Of :func:`read_truth`.
        models (dict): By name of the model, its predictions, of
            :func:`read_predictions`; the first is what the
            others are compared with, the teacher.
        folder (str | Path): For the pictures and their JSON.
        data (str): What the images are, for the titles.
        score (float): Predictions below it count for AP only.
        settings (dict, optional): To note with the results, of
            :func:`mmkd.visualization.claim`.

    Returns:
        list: What was written, in the order above; the confusions model by model.

    Raises:
        ConfigError: The score is not from 0 to 1, or a name does not fit into a file's.
    """
    for name in models:
        if not re.fullmatch(r'[\w. +-]+', name):
            raise ConfigError(
                f'the name {name!r} of a model becomes part of a file name: use '
                'letters, digits, spaces and ._+- only.'
            )
    if not 0 <= score <= 1:
        raise ConfigError(f'the score threshold {score} is not from 0 to 1.')
    scores, errors, counts = {}, {}, {}
    for name, predictions in models.items():
        scores[name] = detection_scores(truth, predictions)
        errors[name] = detection_errors(truth, predictions, score)
        counts[name] = detection_confusion(truth, predictions, score)
    data = f'{data}, {len(truth.imgs):,} images'
    made = [
        size_ap_artifact(truth, scores, data),
        class_ap_artifact(truth, scores, data),
        errors_artifact(errors, data, score),
    ]
    shown = most_confused(list(counts.values()), MOST_CONFUSED)
    made += [
        confusion_artifact(truth, name, matrix, shown, data, score)
        for name, matrix in counts.items()
    ]
    for artifact, figure in made:
        artifact.settings = dict(settings or {})
        artifact.write(folder, figure)
    return [artifact for artifact, _ in made]
