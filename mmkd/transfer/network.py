"""A frozen network that gives features."""

import json
import logging
from contextlib import contextmanager
from typing import Dict, Iterator, Optional, Sequence, Union

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from mmkd.configs import load_config, student_of
from mmkd.construct import build_from
from mmkd.errors import ConfigError
from mmkd.models.frozen_network import freeze, frozen_network
from mmkd.models.randomness import isolated_rng
from mmkd.provenance import fingerprint

from .features.code_digest import code_digest
from .features.layers import layer_features
from .features.transform import Transform


class Network:
    """A classifier, a Distiller's student or a plain backbone, frozen in eval mode.

    On a GPU it runs under autocast to float16, and gives float16.

    Args:
        config (str | Config): Its config; a Distiller's gives the student.
        checkpoint (str, optional): Path or URL of its weights, which have to fit. A
            plain backbone takes those of a classifier, too. Without one the weights
            are random, the same for the same ``seed``.
        name (str): What it is, for messages and tables. Defaults to ``'network'``.
        input_size (int, optional): See :class:`Transform`. Defaults to its own.
        seed (int): Of random weights. Defaults to 0.
        device (str, optional): Defaults to the accelerator, or the CPU.
        prefix (str, optional): What the weights' names begin with in a file of several
            networks, such as ``'teacher.'``. Defaults to all names.

    Raises:
        ConfigError: The config cannot be read or built, or says nothing of the input,
            or there is no such device.
        CheckpointError: The checkpoint is missing or does not fit.
    """

    def __init__(
        self,
        config: Union[str, Config],
        checkpoint: Optional[str] = None,
        name: str = 'network',
        input_size: Optional[int] = None,
        seed: int = 0,
        device: Optional[str] = None,
        prefix: Optional[str] = None,
    ) -> None:
        cfg = load_config(config) if isinstance(config, str) else config
        if not (cfg.get('model') or cfg.get('type')):
            raise ConfigError(
                f'the config of {name} has no model; give one with '
                'model=dict(type=...), or a backbone.'
            )
        self.name = name
        self.transform = Transform(cfg, input_size)
        with isolated_rng(), _quiet():
            # The CPU's alone: torch.manual_seed would seed that of a GPU, too.
            torch.default_generator.manual_seed(seed)
            self.model, self.classes = frozen_network(
                cfg, checkpoint, name, prefix=prefix
            )
            if checkpoint is None and hasattr(self.model, 'init_weights'):
                _forget_pretrained(self.model)
                self.model.init_weights()
        spec = cfg.get('model') or cfg
        spec = student_of(spec)
        self._spec = json.dumps(spec, sort_keys=True, default=str)
        self._preprocessor = _preprocessor(self.model, cfg)
        self.device = _device(device or get_device())
        for module in (self.model, self._preprocessor):
            freeze(module.to(self.device))

    def features(self, images: Tensor, layers: Sequence[str]) -> Dict[str, Tensor]:
        """Compute features of a batch.

        Args:
            images (Tensor): uint8 ``(N, 3, H, W)`` of :attr:`transform`.
            layers (Sequence[str]): ``'pooled'``, what goes into the last linear layer;
                ``'logits'``; or names of modules, whose maps ``(N, C, H, W)`` are
                averaged over positions and sequences ``(N, L, C)`` over tokens.

        Returns:
            dict[str, Tensor]: By layer, ``(N, C)`` on the CPU.

        Raises:
            ConfigError: There is no such module, or its output is none of these.
        """
        return layer_features(
            self.model,
            self._preprocessor,
            images.to(self.device),
            layers,
            name=self.name,
            half=self.precision == 16,
        )

    @property
    def precision(self) -> int:
        """Bits of a feature's number."""
        return 16 if self.device.type == 'cuda' else 32

    def fingerprint(self) -> str:
        """Return a digest of all that features depend on but the images.

        That is weights and buffers, the config, the transform, and the code: see
        :func:`code_digest`.
        """
        networks = self.model, self._preprocessor
        modules = [module for network in networks for module in network.modules()]
        code = code_digest(
            layer_features, *modules, *self.transform.parts(), alone=[self]
        )
        # The config says what is in no weight, such as the number of heads.
        about = code, self.device.type, self.precision, self._spec, self.transform
        return fingerprint([*about, *networks], networks)


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f'device {name!r} is not to be had ({str(error).splitlines()[0]}); give '
            'another --device, or none.'
        ) from None


def _forget_pretrained(model: nn.Module) -> None:
    """Keep a config from loading weights where random ones are asked for."""
    for module in model.modules():
        specs = getattr(module, 'init_cfg', None) or []
        specs = [specs] if isinstance(specs, dict) else specs
        kept = [s for s in specs if s['type'] not in ('Pretrained', PretrainedInit)]
        if len(kept) < len(specs):
            module.init_cfg = kept


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MMEngine from a line for every tensor that it makes or loads."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _preprocessor(model: nn.Module, cfg: Config) -> nn.Module:
    own = getattr(model, 'data_preprocessor', None)
    if own is not None:
        return own
    spec = cfg.get('data_preprocessor')
    if spec is None:
        raise ConfigError(
            f'the config of the plain backbone {type(model).__name__} does not say how '
            'its input is normalised; give it data_preprocessor=dict(mean=[...], '
            'std=[...], to_rgb=...) beside the model.'
        )
    with ROOT_MODELS.switch_scope_and_registry('mmpretrain') as registry:
        return build_from(registry, dict(dict(type='ClsDataPreprocessor'), **spec))
