"""What a pipeline hands on: images, and what is to be learned of them."""

from typing import Any

from mmkd.errors import DataError


def check_sample(sample: Any, what: str, learns: bool) -> None:
    """Check that a sample of a stock data set has what a network and its head read.

    Args:
        sample (Any): What the pipeline gave.
        what (str): Which one it is, for messages.
        learns (bool): A head learns classes from it.

    Raises:
        DataError: It has no image, or nothing to learn.
    """
    packed = sample if isinstance(sample, dict) else {}
    if packed.get('inputs') is None:
        raise DataError(
            f'{what} has no inputs after its pipeline, only '
            f'{", ".join(packed) or repr(sample)}; begin the pipeline with '
            'LoadImageFromFile and end it with PackInputs (mmpretrain) or '
            'PackDetInputs (mmdet).'
        )
    samples = packed.get('data_samples')
    if not learns or samples is None:
        return
    instances = samples.get('gt_instances')
    if instances is not None and not ('bboxes' in instances and 'labels' in instances):
        raise DataError(
            f'{what} has no boxes and labels after its pipeline; put '
            "dict(type='LoadAnnotations', with_bbox=True) into it."
        )
    if instances is None and not {'gt_label', 'gt_score'} & set(samples.keys()):
        raise DataError(
            f'{what} has no label to learn; give annotations with labels, or a network '
            'that learns without.'
        )
