"""mmpretrain's wrappers of timm and Hugging Face, which run as a whole."""

from typing import List, Sequence

from torch import nn

from mmkd.registry import FAMILIES

from .classifier import Classifier
from .run import Run


@FAMILIES.register_module()
class Whole(Classifier):
    """A classifier of another library in ``model``: images in, logits out."""

    on_feats = ('model',)

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it is one network in ``model``."""
        return hasattr(model, 'model') and not hasattr(model, 'backbone')

    @property
    def parts(self) -> List[str]:
        """The network."""
        return list(self.on_feats)

    def early(self, run: Run, paths: Sequence[str]) -> None:
        """Run the network, once."""
        run.model(run.inputs, mode='tensor')
