"""Raw pixels in place of features: the floor of a comparison."""

from typing import Dict, Optional, Sequence, Union

import torch
from mmengine.config import Config
from torch import Tensor

from mmkd.configs import load_config
from mmkd.errors import ConfigError

from .features.code_digest import code_digest
from .features.layers import POOLED
from .features.transform import Transform


class Pixels:
    """Gives the pixels that a network of this config would be shown.

    It stands in for a :class:`Network`; its only feature is ``'pooled'``.

    Args:
        config (str | Config): Whose transform is taken.
        name (str): Its name in tables. Defaults to ``'pixels'``.
        input_size (int, optional): See :class:`Transform`.
    """

    def __init__(
        self,
        config: Union[str, Config],
        name: str = 'pixels',
        *,
        input_size: Optional[int] = None,
    ) -> None:
        cfg = load_config(config) if isinstance(config, str) else config
        self.name = name
        self.transform = Transform(cfg, input_size)
        self.device = torch.device('cpu')

    def features(self, images: Tensor, layers: Sequence[str]) -> Dict[str, Tensor]:
        """Return the pixels of uint8 images, float32 from 0 to 1, ``(N, 3 H W)``."""
        if list(layers) != [POOLED]:
            raise ConfigError(
                f'{self.name}: pixels have no layers, but {", ".join(layers)} were '
                f'asked for; leave --layers at {POOLED}.'
            )
        return {POOLED: images.flatten(1).float() / 255}

    def fingerprint(self) -> str:
        """Return what the pixels depend on but the images."""
        code = code_digest(self, *self.transform.parts())
        return f'pixels, {code}, {self.transform}'
