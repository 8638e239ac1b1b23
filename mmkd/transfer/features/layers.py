"""What a network makes of images: one vector a layer and image."""

from typing import Dict, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.models.stock_network import before_logits, pooled
from mmkd.models.taps import Taps

#: Features that are no module's output.
POOLED, LOGITS = 'pooled', 'logits'


@torch.no_grad()
def layer_features(
    model: nn.Module,
    preprocessor: nn.Module,
    images: Tensor,
    layers: Sequence[str],
    *,
    name: str,
    half: bool = False,
) -> Dict[str, Tensor]:
    """Compute features of a batch in one pass.

    Args:
        model (nn.Module): An mmpretrain ``ImageClassifier`` or a plain backbone.
        preprocessor (nn.Module): Its data preprocessor.
        images (Tensor): uint8 ``(N, 3, H, W)``, where the model is.
        layers (Sequence[str]): See :meth:`Network.features`.
        name (str): Of the network, for messages.
        half (bool): Run under autocast to float16. Defaults to False.

    Returns:
        dict[str, Tensor]: By layer, ``(N, C)`` on the CPU, in float16 where ``half``,
        else float32.

    Raises:
        ConfigError: See :meth:`Network.features`.
    """
    inputs = preprocessor(dict(inputs=images), False)['inputs']
    modules = [layer for layer in layers if layer not in (POOLED, LOGITS)]
    autocast = torch.autocast(images.device.type, torch.float16, half)
    with Taps(model, modules, name) as taps, autocast:
        vectors = _run(model, inputs, layers, name)
    for module in modules:
        vectors[module] = _vector(module, taps[module].outputs()[-1], name)
    dtype = torch.float16 if half else torch.float32
    return {layer: vectors[layer].to('cpu', dtype) for layer in layers}


def _run(model, inputs, layers, name) -> Dict[str, Tensor]:
    """One pass; what comes after the pooled feature only where it is asked for."""
    if not {LOGITS, 'head'} & {layer.split('.')[0] for layer in layers}:
        return {POOLED: pooled(model, inputs)}
    if not getattr(model, 'with_head', False):
        raise ConfigError(
            f'{name} ({type(model).__name__}) has no head, so it gives no logits; give '
            'a classifier.'
        )
    maps = model.extract_feat(inputs)
    vectors = {LOGITS: model.head(maps)}
    if POOLED in layers:
        vectors[POOLED] = before_logits(model, maps)
    return vectors


def _vector(module, output, name) -> Tensor:
    if output.ndim == 4:
        return output.float().mean((2, 3))
    if output.ndim == 3:
        return output.float().mean(1)
    if output.ndim != 2:
        raise ConfigError(
            f'{name}: {module!r} puts out {tuple(output.shape)}, but a feature is '
            '(N, C), (N, C, H, W) or (N, L, C); choose another module.'
        )
    return output
