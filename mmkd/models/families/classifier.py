"""mmpretrain's classifiers: a head on the features."""

from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmkd.registry import FAMILIES

from .base import Family


@FAMILIES.register_module()
class Classifier(Family):
    """A backbone, perhaps a neck, and a head."""

    resizes = True
    on_feats = ('head',)

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it has a head that takes features."""
        return hasattr(model, 'backbone') and getattr(model, 'head', None) is not None

    def samples(self, inputs: Tensor) -> list:
        """Make samples of class 0."""
        return [
            DataSample(metainfo=sample.metainfo).set_gt_label(0).to(inputs.device)
            for sample in super().samples(inputs)
        ]
