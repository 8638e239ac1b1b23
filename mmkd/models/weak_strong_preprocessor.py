"""Two views of each image: cropped and flipped, and strongly augmented."""

import torch
from mmpretrain.models import ClsDataPreprocessor
from torchvision.transforms.v2 import RandAugment

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .crop_flip_preprocessor import CropFlipPreprocessor, random_crop, random_flip
from .randomness import RandomStream


@MODELS.register_module()
class WeakStrongPreprocessor(CropFlipPreprocessor):
    """The two views of multi-level logit distillation, see
    :class:`~mmkd.models.losses.MLKDLoss`.

    In training a batch of N uint8 images becomes one of 2N: the weak view of all,
    which is that of :class:`CropFlipPreprocessor`, then the strong view of all, with
    torchvision's `RandAugment <https://arxiv.org/abs/1909.13719>`_ and a crop and a
    flip of its own. Data samples come twice in the same order. A cross entropy over
    the batch averages over 2N; the authors add the two views' up: give it twice their
    weight.

    (mmkd): images are augmented where they come from, on the host, so that no device is
    waited for; the authors do so after the crop, with levels at random and a cut-out.

    Args:
        num_ops (int): Operations of the strong view. Defaults to 2.
        magnitude (int): Their strength, 0 to 30. Defaults to 10.
        **kwargs: Those of :class:`CropFlipPreprocessor`.

    Raises:
        ConfigError: A value is out of its range, or images are not uint8 of three
            channels.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 10, **kwargs) -> None:
        super().__init__(**kwargs)
        if num_ops < 0 or not 0 <= magnitude <= 30:
            raise ConfigError(
                f'WeakStrongPreprocessor: num_ops={num_ops}, magnitude={magnitude}, '
                'but the first must not be negative and the second be from 0 to 30.'
            )
        self.augment = RandAugment(num_ops, magnitude)
        self._random = RandomStream('strong view')

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return normalised ``inputs`` and ``data_samples``, in training 2N."""
        if not training:
            return super().forward(data, training)
        images = torch.stack(list(data['inputs']))
        if images.dtype != torch.uint8 or images.size(1) != 3:
            raise ConfigError(
                'WeakStrongPreprocessor augments uint8 images of three channels, got '
                f'{images.dtype} of {images.size(1)}; leave the normalisation to it.'
            )
        weak = self._cropped(images)
        # Some operations are meant for RGB.
        order = [2, 1, 0] if self.to_rgb else [0, 1, 2]
        # The weak view, and all that is drawn later, is that of a student alone.
        with self._random.step(weak.device):
            strong = [self.augment(image[order])[order] for image in images]
            strong = self._cropped(torch.stack(strong))
        samples = data['data_samples']
        both = dict(
            data,
            inputs=torch.cat([weak, strong]),
            data_samples=[*samples, *(sample.clone() for sample in samples)],
        )
        # The parent's own would crop once more.
        return ClsDataPreprocessor.forward(self, both, training)

    def _cropped(self, images):
        images = random_crop(self.cast_data(images), self.padding)
        return random_flip(images, self.flip_prob)
