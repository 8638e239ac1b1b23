"""Random crops and flips of a whole batch at once."""

import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor

from mmkd.errors import ConfigError
from mmkd.registry import MODELS


def random_crop(images: Tensor, padding: int) -> Tensor:
    """Cut a window of the images' own size out of each padded image.

    Every offset is as likely as any other; the border is zero, which is black in
    images that are not normalised yet.

    Args:
        images (Tensor): ``(N, C, H, W)``.
        padding (int): Pixels added on each side.

    Returns:
        Tensor: ``(N, C, H, W)``.
    """
    n, _, height, width = images.shape
    padded = F.pad(images, [padding] * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    top, left = torch.randint(2 * padding + 1, (2, n), device=images.device)
    return windows[torch.arange(n, device=images.device), :, top, left]


def random_flip(images: Tensor, prob: float) -> Tensor:
    """Mirror each image ``(N, C, H, W)`` left to right with a probability."""
    flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < prob
    return torch.where(flipped, images.flip(3), images)


@MODELS.register_module()
class CropFlipPreprocessor(ClsDataPreprocessor):
    """mmpretrain's preprocessor, with the augmentation of the CIFAR recipes.

    In training the batch is cropped and flipped on the model's device before it is
    normalised: the distribution of ``RandomCrop(crop_size=SIZE, padding=4)`` and
    ``RandomFlip(prob=0.5)``, which then must not stand in the pipeline.

    Args:
        padding (int): Black pixels on each side to crop from. Defaults to 4.
        flip_prob (float): Probability to mirror an image. Defaults to 0.5.
        **kwargs: Those of ``ClsDataPreprocessor``.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, padding: int = 4, flip_prob: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        if padding < 0 or not 0 <= flip_prob <= 1:
            raise ConfigError(
                f'CropFlipPreprocessor: padding={padding}, flip_prob={flip_prob}, but '
                'the first must not be negative and the second be from 0 to 1.'
            )
        self.padding = padding
        self.flip_prob = flip_prob

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return normalised ``inputs`` ``(N, C, H, W)`` and ``data_samples``."""
        if training:
            images = self.cast_data(data['inputs'])
            images = random_flip(random_crop(images, self.padding), self.flip_prob)
            data = dict(data, inputs=images)
        return super().forward(data, training)
