"""What all pixels of a map have in common, for FGD."""

from torch import Tensor, nn


class GlobalContext(nn.Module):
    """Adds the context of a map to each of its pixels: the block of `GCNet
    <https://arxiv.org/abs/1904.11492>`_.

    A 1x1 convolution and a softmax weigh the pixels, whose weighted sum passes a
    bottleneck of half the channels. The last convolution starts from zero, so that at
    first the map stays as it is.

    Args:
        channels (int): Of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 1)
        self.weigh = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LayerNorm([hidden, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
        )
        nn.init.kaiming_normal_(self.weigh.weight, nonlinearity='relu')
        for zero in (self.weigh.bias, *self.transform[-1].parameters()):
            nn.init.zeros_(zero)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(N, C, H, W)`` with their context added."""
        weights = self.weigh(maps).flatten(2).softmax(dim=2)
        context = maps.flatten(2) @ weights.transpose(1, 2)
        return maps + self.transform(context[..., None])
