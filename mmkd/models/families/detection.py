"""What all families of detectors share."""

from typing import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import FAMILIES

from .base import Family
from .run import Run


@FAMILIES.register_module()
class Detection(Family):
    """Any detector of mmdet, up to its neck: its samples have boxes.

    A subclass knows the heads, which take feature maps.
    """

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it is, or inherits from, a detector of mmdet."""
        kinds = (kind.__module__ for kind in type(model).__mro__)
        return any(name.startswith('mmdet.models.detectors') for name in kinds)

    def check(self, model: nn.Module, paths: Sequence[str], role: str) -> None:
        """Refuse heads that do not run on feature maps alone, too."""
        super().check(model, paths, role)
        for name in {path.split('.')[0] for path in paths}.intersection(self.on_feats):
            head = getattr(model, name)
            if type(head).forward is nn.Module.forward:
                raise ConfigError(
                    f'the {type(head).__name__} of the {role} ({type(model).__name__}) '
                    'has no forward, so that it cannot be run on feature maps alone; '
                    f'choose a module outside of {name!r}, such as the neck.'
                )

    def early(self, run: Run, paths: Sequence[str]) -> None:
        """Run the heads as in training, though what is inside of them rests.

        For inference FCOS gives boxes in other units, VFNet and RepPoints other maps,
        and guided anchors leave places out.
        """
        heads = [getattr(run.model, name, None) for name in self.on_feats]
        modes = {head: head.training for head in filter(None, heads)}
        for head in modes:
            head.training = True
        try:
            super().early(run, paths)
        finally:
            for head, mode in modes.items():
                head.training = mode

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
