"""A trained network as a backbone that no longer learns."""

from typing import Optional, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from torch import Tensor

from mmkd.models.frozen_network import check_trained, frozen_network, source_of
from mmkd.models.stock_network import pooled
from mmkd.registry import MODELS


@MODELS.register_module()
class FrozenBackbone(BaseModule):
    """Gives the feature before a trained network's logits, for a new classifier on it.

    The network has its weights once it is built, and keeps them: it gets no gradients,
    and is in eval mode for good, so that batch norms neither use nor gather the
    statistics of the new images. Its own data preprocessor is not run: images have to
    come as in its training, normalised by the preprocessor of the new classifier.

    Args:
        config (str | Config | dict): What :func:`mmkd.models.stock_network.\
build_network` takes: the config of a classifier, of a Distiller (its student) or of a
            plain backbone.
        checkpoint (str, optional): Path or URL of the weights, loaded strictly.
        allow_untrained (bool): Go on without a checkpoint. Defaults to False.
        prefix (str, optional): What its weights' names begin with in a file of several
            networks, such as ``'teacher.'``. Defaults to all names.

    Raises:
        ConfigError: The config cannot be read or has no model.
        CheckpointError: No checkpoint, or one that does not fit.

    Example:
        >>> model = dict(
        ...     type='ImageClassifier',
        ...     backbone=dict(
        ...         type='mmkd.FrozenBackbone',
        ...         config='configs/cifar100/kd_resnet56_resnet20.py',
        ...         checkpoint='work_dirs/kd_resnet56_resnet20/epoch_240.pth'),
        ...     head=dict(type='LinearClsHead', in_channels=64, num_classes=200))
    """

    def __init__(
        self,
        config: Union[str, Config, dict],
        checkpoint: Optional[str] = None,
        allow_untrained: bool = False,
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__()
        whose, source = 'the frozen backbone', source_of(config)
        check_trained(checkpoint, allow_untrained, whose, 'backbone', 'freeze', source)
        self.network, _ = frozen_network(config, checkpoint, whose, source, prefix)
        self.train()

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    def train(self, mode: bool = True) -> 'FrozenBackbone':
        """Stay in eval mode, whatever ``mode``."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tuple[Tensor]:
        """Return the feature ``(N, C)`` of preprocessed images ``(N, 3, H, W)``."""
        return (pooled(self.network, inputs),)
