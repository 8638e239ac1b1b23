"""Giving the teacher the input statistics that it was trained with."""

from typing import NamedTuple, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InputStats(NamedTuple):
    """How a data preprocessor turns loaded pixels into a network's input."""

    mean: tuple
    std: tuple
    flipped: bool

    @classmethod
    def of(cls, preprocessor: Optional[nn.Module]) -> 'InputStats':
        """Read mean, std and channel order off an MMEngine data preprocessor."""
        normalises = getattr(preprocessor, '_enable_normalize', False)
        mean = preprocessor.mean.flatten().tolist() if normalises else [0.0]
        std = preprocessor.std.flatten().tolist() if normalises else [1.0]
        flipped = getattr(preprocessor, '_channel_conversion', None)
        if flipped is None:
            flipped = getattr(preprocessor, 'to_rgb', False)
        return cls(tuple(mean), tuple(std), bool(flipped))

    def __str__(self) -> str:
        def show(values):
            return '/'.join(f'{value:g}' for value in values)

        order = 'channels flipped' if self.flipped else 'channels as loaded'
        return f'mean {show(self.mean)}, std {show(self.std)}, {order}'


def pad_divisor(preprocessor: Optional[nn.Module]) -> int:
    """Return of what a data preprocessor makes height and width a multiple."""
    return int(getattr(preprocessor, 'pad_size_divisor', 1) or 1)


class Renormalise(nn.Module):
    """Maps a batch preprocessed for the student to the teacher's statistics.

    The border that mmdet's preprocessor pads is set to the teacher's pad value
    again; it is found through ``img_shape`` of samples that carry a
    ``batch_input_shape``. The teacher's batch augments, which would change the images,
    are not run.

    Args:
        student (nn.Module): The student's data preprocessor.
        teacher (nn.Module): The teacher's.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        source, wanted = InputStats.of(student), InputStats.of(teacher)
        self.flip = source.flipped != wanted.flipped
        self.pad_value = _pad_value(teacher)
        self.same = source == wanted and self.pad_value == _pad_value(student)
        #: The teacher's, where images padded for the student may have to be padded
        #: further, else 1.
        self.divisor = pad_divisor(teacher)
        if pad_divisor(student) % self.divisor == 0:
            self.divisor = 1
        mean, std = (_column(values) for values in source[:2])
        if self.flip:
            mean, std = mean.flip(0), std.flip(0)
        wanted_mean, wanted_std = (_column(values) for values in wanted[:2])
        self.register_buffer('scale', std / wanted_std, persistent=False)
        shift = (mean - wanted_mean) / wanted_std
        self.register_buffer('shift', shift, persistent=False)

    def forward(
        self, inputs: Tensor, data_samples: Optional[Sequence] = None
    ) -> Tensor:
        """Return the teacher's input ``(N, C, H, W)``; ``inputs`` stays as it is."""
        if self.same:
            return inputs
        if self.flip:
            inputs = inputs.flip(1)
        inputs = inputs * self.scale + self.shift
        for image, sample in zip(inputs, data_samples or ()):
            if 'batch_input_shape' in sample:
                height, width = sample.img_shape[:2]
                image[:, height:, :] = self.pad_value
                image[:, :, width:] = self.pad_value
        return inputs

    def pad(self, inputs: Tensor) -> Tensor:
        """Pad images below and on the right, as the teacher's preprocessor does."""
        height, width = (-side % self.divisor for side in inputs.shape[2:])
        if not (height or width):
            return inputs
        return F.pad(inputs, (0, width, 0, height), value=self.pad_value)


def _pad_value(preprocessor):
    return float(getattr(preprocessor, 'pad_value', 0))


def _column(values):
    return torch.tensor(values).view(-1, 1, 1)
