"""What losses may ask for beside the two sides: of the data samples, by name."""

from typing import Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from mmkd.errors import ConfigError

#: What to do about samples that lack something.
PACKED = (
    "add {!r} to the meta_keys of the pipeline's packing transform (PackInputs has it "
    'by default), or train on data that has it'
)
DETECTOR = (
    'train a detector of mmdet on data with boxes, whose pipeline and preprocessor '
    'note it, or choose a loss that needs none'
)


def sample_indices(samples: Sequence, device: torch.device, owner: str) -> Tensor:
    """Return the index ``(N,)`` in its data set of each sample, without waiting.

    MMEngine's data sets number their samples, and the packing transforms keep the
    number as ``sample_idx``.

    Args:
        samples (Sequence): Data samples of the batch.
        device (torch.device): Where to put the tensor.
        owner (str): Of the loss that asks, for the message.

    Raises:
        ConfigError: The samples carry no number.
    """
    _check(samples, 'sample_idx', owner, 'which image is which', PACKED)
    indices = torch.tensor([sample.sample_idx for sample in samples])
    if device.type == 'cuda':
        # Only from pinned memory does a copy not wait for the device.
        indices = indices.pin_memory()
    return indices.to(device, non_blocking=True)


def image_shapes(
    samples: Sequence, device: torch.device, owner: str
) -> List[Tuple[int, int]]:
    """Return height and width of each image, in pixels of the input, unpadded.

    Raises:
        ConfigError: The samples do not say.
    """
    _check(samples, 'img_shape', owner, 'how large each image is', PACKED)
    return [tuple(sample.img_shape[:2]) for sample in samples]


def padded_shapes(
    samples: Sequence, device: torch.device, owner: str
) -> List[Tuple[int, int]]:
    """Return height and width of the batch that each image was padded to.

    Raises:
        ConfigError: The samples do not say.
    """
    what = 'how large the padded batch is'
    _check(samples, 'batch_input_shape', owner, what, DETECTOR)
    return [tuple(sample.batch_input_shape[:2]) for sample in samples]


def boxes(samples: Sequence, device: torch.device, owner: str) -> List[Tensor]:
    """Return the true boxes ``(G, 4)`` of each image, in pixels of the input.

    Raises:
        ConfigError: The samples have none.
    """
    _check(samples, 'gt_instances', owner, 'the true boxes', DETECTOR)
    truth = [sample.gt_instances for sample in samples]
    _check(truth, 'bboxes', owner, 'the true boxes', DETECTOR)
    every = [each.bboxes for each in truth]
    # mmdet wraps them in a class of its own where its pipeline says so.
    return [getattr(each, 'tensor', each).to(device) for each in every]


#: By the name in :attr:`.DistillLoss.needs`; each takes the samples, a device and the
#: name of who asks.
SIDE_INFORMATION: Dict[str, Callable] = dict(
    index=sample_indices,
    image_shape=image_shapes,
    padded_shape=padded_shapes,
    boxes=boxes,
)


def _check(samples, key, owner, what, advice):
    if any(key not in sample for sample in samples or [{}]):
        raise ConfigError(
            f'{owner} needs to know {what}, but the data samples have no {key}; '
            f'{advice.format(key)}.'
        )
