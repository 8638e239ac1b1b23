"""One-stage detectors: a head on all places of the feature maps."""

from torch import nn

from mmkd.registry import FAMILIES

from .detection import Detection


@FAMILIES.register_module()
class Dense(Detection):
    """RetinaNet, FCOS, GFL and their like."""

    on_feats = ('bbox_head',)

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it has a box head that takes feature maps, which DETRs' does not."""
        has_head = getattr(model, 'bbox_head', None) is not None
        return has_head and not hasattr(model, 'forward_transformer')
