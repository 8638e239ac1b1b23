"""One batch on its way through parts of a network."""

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Optional, Tuple

from torch import Tensor, nn

from mmkd.errors import explained


class Run:
    """A batch and a network; what its parts put out is read through taps.

    Args:
        model (nn.Module): An mmpretrain classifier or an mmdet detector.
        inputs (Tensor): Preprocessed images ``(N, C, H, W)``.
        samples (list, optional): Their data samples.
        shown (tuple[int, int], optional): Height and width of what the images have in
            common with those of the other network: the rest, below and on the right,
            was padded for this one alone. Defaults to all.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        samples: Optional[list] = None,
        shown: Optional[Tuple[int, int]] = None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.samples = samples
        self.shown = tuple(inputs.shape[2:]) if shown is None else shown

    @cached_property
    def feats(self):
        """Features after backbone and neck, computed on first use."""
        return self.model.extract_feat(self.inputs)


def tried(
    whose: str, family, inputs: Tensor, other_size: str = ''
) -> AbstractContextManager:
    """Say which network does not take some images, and what to do.

    Args:
        whose (str): What it is, such as ``'the student'``.
        family (Family): How it is run.
        inputs (Tensor): The images ``(N, C, H, W)``.
        other_size (str): How a config gives it images of another size, if it can.
    """
    height, width = inputs.shape[2:]
    return explained(
        f'{whose} cannot run on images of {height} x {width} pixels, as '
        f'{type(family).__name__} runs it',
        'where their size is why, give that of the training images as '
        f'model.probe_size=(HEIGHT, WIDTH){other_size}, else name modules in on= that '
        'run before',
    )
