"""Drawing samples of other classes."""

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError


class Negatives(nn.Module):
    """Draws, for samples of the training set, others that are not of their class.

    Args:
        owner (str): The loss, named in error messages.
        num_samples (int): Size of the training set.
    """

    def __init__(self, owner: str, num_samples: int) -> None:
        super().__init__()
        self.owner = owner
        self.num_samples = num_samples
        self.seen = 0  # samples whose labels are known
        # Of full size from the start, since an EMA copies buffer by buffer.
        for name in ('by_class', 'start', 'size'):
            places = torch.zeros(num_samples, dtype=torch.long)
            self.register_buffer(name, places, persistent=False)

    def see(self, labels: Tensor) -> None:
        """Take the labels ``(n,)`` of the first ``n <= num_samples`` samples.

        Only these are drawn: a part of a data set has fewer than the whole.

        Raises:
            ConfigError: There are more, or they are of one class, or several a sample.
        """
        if labels.dim() != 1 or not 0 < len(labels) <= self.num_samples:
            raise ConfigError(
                f'{self.owner}: got labels of shape {tuple(labels.shape)}, but one a '
                f'sample and at most num_samples={self.num_samples} are allowed; set '
                'num_samples to the size of the training set.'
            )
        _, group, counts = labels.unique(return_inverse=True, return_counts=True)
        if len(counts) < 2:
            raise ConfigError(
                f'{self.owner}: all {len(labels)} samples of the training set are of '
                'one class, but negatives come from others; train on at least two.'
            )
        self.seen = len(labels)
        self.by_class[: self.seen] = group.argsort()
        self.start[: self.seen] = (counts.cumsum(0) - counts)[group]
        self.size[: self.seen] = counts[group]

    def draw(self, index: Tensor, count: int) -> Tensor:
        """Draw ``count`` negatives for each sample ``index`` ``(N,)``.

        Returns:
            Tensor: Indices ``(N, count)``: uniform, and with replacement.
        """
        start, size = self.start[index, None], self.size[index, None]
        # 24 bits of torch.rand would not do justice to a million samples.
        drawn = torch.randint(2**62, (len(index), count), device=index.device)
        place = drawn % (self.seen - size)
        # Samples lie class by class: those of the own class are stepped over.
        return self.by_class[place + size * (place >= start)]
