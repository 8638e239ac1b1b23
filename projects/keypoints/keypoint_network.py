"""A kind of network that mmkd does not know: one heat map a keypoint."""

from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmkd.registry import MODELS

STRIDE = 4
KEYPOINTS = 3


@MODELS.register_module()
class KeypointNetwork(BaseModel):
    """Says where each of some keypoints is, as logits over the cells of a map.

    Args:
        width (int): Channels of its body.
        data_preprocessor (dict, optional): As of every MMEngine model.
    """

    def __init__(self, width: int, data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor)
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, 1),
            nn.ReLU(),
        )
        self.maps = nn.Conv2d(width, KEYPOINTS, 1)

    def forward(self, inputs, data_samples: Optional[list] = None, mode='tensor'):
        """Return maps ``(N, K, H / 4, W / 4)``, the loss, or where keypoints are."""
        maps = self.maps(self.body(inputs))
        if mode == 'tensor':
            return maps
        if mode == 'predict':
            cells = maps.flatten(2).argmax(dim=2)
            width = maps.size(3)
            places = torch.stack([cells % width, cells // width], dim=2) * STRIDE
            for sample, xy in zip(data_samples, places):
                sample.pred_keypoints = xy
            return data_samples
        cells, visible = cells_of(data_samples, maps.size(3))
        each = F.cross_entropy(maps.flatten(2).flatten(0, 1), cells, reduction='none')
        return dict(loss_maps=(each * visible).sum() / visible.sum().clamp(min=1))


def cells_of(data_samples: list, width: int):
    """Return the cell ``(N * K,)`` of each keypoint, and whether it can be seen."""
    points = torch.cat([sample.keypoints for sample in data_samples])
    visible = torch.cat([sample.visible for sample in data_samples])
    x, y = (points // STRIDE).long().unbind(dim=1)
    return y * width + x, visible.to(points.dtype)


def keypoint_sample(points: Tensor, visible: Tensor) -> BaseDataElement:
    """Pack ``(K, 2)`` pixels, x and y, and ``(K,)`` whether each can be seen."""
    sample = BaseDataElement()
    sample.set_data(dict(keypoints=points, visible=visible))
    return sample
