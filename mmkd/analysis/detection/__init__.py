"""What detectors get wrong, on data in COCO's format."""

from .boxes import read_predictions, read_truth
from .confusion import detection_confusion
from .errors import detection_errors
from .report import write_detection_report
from .scores import detection_scores

__all__ = [
    'detection_confusion',
    'detection_errors',
    'detection_scores',
    'read_predictions',
    'read_truth',
    'write_detection_report',
]
