"""What all families of detectors share."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from .base import Family


class Detection(Family):
    """A detector of mmdet: its samples have boxes."""

    def samples(self, inputs: Tensor) -> list:
        """Make samples of one box of label 0 each, as ``PackDetInputs`` does."""
        height, width = inputs.shape[2:]
        samples = []
        for index in range(len(inputs)):
            meta = dict(
                img_id=index,
                sample_idx=index,
                img_shape=(height, width),
                ori_shape=(height, width),
                pad_shape=(height, width),
                batch_input_shape=(height, width),
                scale_factor=(1.0, 1.0),
                flip=False,
            )
            truth = InstanceData(
                bboxes=inputs.new_tensor([[0, 0, width / 2, height / 2]]),
                labels=torch.zeros(1, dtype=torch.long, device=inputs.device),
            )
            samples.append(DetDataSample(metainfo=meta, gt_instances=truth))
        return samples
