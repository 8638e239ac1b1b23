"""One batch on its way through parts of a network."""

from functools import cached_property
from typing import Optional

from torch import Tensor, nn


class Run:
    """A batch and a network; what its parts put out is read through taps.

    Args:
        model (nn.Module): An mmpretrain classifier or an mmdet detector.
        inputs (Tensor): Preprocessed images ``(N, C, H, W)``.
        samples (list, optional): Their data samples.
    """

    def __init__(
        self, model: nn.Module, inputs: Tensor, samples: Optional[list] = None
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.samples = samples

    @cached_property
    def feats(self):
        """Features after backbone and neck, computed on first use."""
        return self.model.extract_feat(self.inputs)
