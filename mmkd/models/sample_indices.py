"""Which samples of the training set a batch holds."""

from typing import Sequence

import torch
from torch import Tensor

from mmkd.errors import ConfigError


def sample_indices(data_samples: Sequence, name: str, device: torch.device) -> Tensor:
    """Return the index ``(N,)`` in its data set of each sample, without waiting.

    MMEngine's data sets number their samples, and the packing transforms keep the
    number as ``sample_idx``.

    Args:
        data_samples (Sequence): Samples of the batch.
        name (str): Of the loss that asks, for the message.
        device (torch.device): Where to put the tensor.

    Raises:
        ConfigError: The samples carry no number.
    """
    if any('sample_idx' not in sample for sample in data_samples):
        raise ConfigError(
            f'{name} needs to know which image is which, but the data samples have no '
            "sample_idx; add 'sample_idx' to the meta_keys of the pipeline's packing "
            'transform (PackInputs has it by default).'
        )
    indices = torch.tensor([sample.sample_idx for sample in data_samples])
    if device.type == 'cuda':
        # Only from pinned memory does a copy not wait for the device.
        indices = indices.pin_memory()
    return indices.to(device, non_blocking=True)
