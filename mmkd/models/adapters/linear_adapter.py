"""A linear map from the student's channels to the teacher's."""

from torch import nn

from mmkd.registry import MODELS


@MODELS.register_module()
class LinearAdapter(nn.Linear):
    """Linear map of the last dimension, ``(N, C)`` or ``(N, L, C)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
