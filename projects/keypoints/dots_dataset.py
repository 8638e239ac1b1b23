"""Made-up images with a red, a green and a blue dot, some of them hidden."""

import torch
from torch.utils.data import Dataset

from mmkd.registry import DATASETS

from .keypoint_network import keypoint_sample


@DATASETS.register_module()
class DotsDataset(Dataset):
    """Images of 32 pixels, each a function of its number.

    Args:
        length (int): How many.
    """

    metainfo = dict(classes=('red', 'green', 'blue'))

    def __init__(self, length: int = 64) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        if index >= self.length:
            raise IndexError(index)
        numbers = torch.Generator().manual_seed(index)
        places = torch.randint(2, 30, (3, 2), generator=numbers)
        visible = torch.rand(3, generator=numbers) < 0.8
        image = torch.randint(60, (3, 32, 32), generator=numbers, dtype=torch.uint8)
        for channel, ((x, y), seen) in enumerate(zip(places.tolist(), visible)):
            if seen:
                image[channel, y - 1 : y + 2, x - 1 : x + 2] = 255
        sample = keypoint_sample(places.float(), visible)
        return dict(inputs=image, data_samples=sample)
