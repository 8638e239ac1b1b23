"""Preparing a frozen network for answering fast."""

from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Callable, Collection, Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from mmkd.errors import ConfigError

from .losses.checks import flag
from .taps import tensors

DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)


class InferenceForm:
    """How a teacher is prepared: what it says stays, what it takes shrinks.

    Folding batch norm into convolutions and ``channels_last`` change nothing but the
    order of roundings. ``dtype`` is an approximation, and the Distiller logs at the
    first step how far it moved what is compared.

    Args:
        fold_bn (bool): Fold each batch norm into the convolution before it. Defaults
            to False.
        channels_last (bool): Lay maps out with channels last. Defaults to False.
        dtype (str, optional): Run under autocast to ``'bfloat16'`` or ``'float16'``.
            Defaults to the weights' own precision.

    Raises:
        ConfigError: Unknown ``dtype``, or a switch that is neither True nor False.
    """

    def __init__(
        self,
        fold_bn: bool = False,
        channels_last: bool = False,
        dtype: Optional[str] = None,
    ) -> None:
        if dtype is not None and dtype not in [*DTYPES]:  # which may be unhashable
            raise ConfigError(
                f'inference: dtype={dtype!r}, but it must be one of '
                f'{", ".join(map(repr, DTYPES))} or None.'
            )
        self.fold_bn = flag('inference', 'fold_bn', fold_bn)
        self.channels_last = flag('inference', 'channels_last', channels_last)
        self.dtype = DTYPES.get(dtype)

    def prepare(
        self, model: nn.Module, images: Tensor, tapped: Collection[str]
    ) -> None:
        """Change ``model`` in place.

        Args:
            model (nn.Module): A frozen network in eval mode.
            images (Tensor): Made-up images ``(N, C, H, W)`` to run it on.
            tapped (Collection[str]): Modules whose outputs are compared: these stay
                what they are.

        Raises:
            ConfigError: Folding would change what this network says, or it has no
                backbone to fold in.
        """
        if self.fold_bn and not hasattr(model, 'backbone'):
            raise ConfigError(
                f'inference: fold_bn=True needs a model with a backbone, and '
                f'{type(model).__name__} has none; leave it out.'
            )
        if self.fold_bn:
            before = _features(model, images)
            fold_batch_norms(model, lambda: _features(model, images), tapped)
            _check_same(before, _features(model, images), type(model.backbone).__name__)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)

    def lay_out(self, inputs: Tensor) -> Tensor:
        """Return the images in the wanted layout."""
        if self.channels_last:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def precision(self, device: torch.device) -> AbstractContextManager:
        """Return the context to run in."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)


def fold_batch_norms(
    model: nn.Module, run: Callable[[], object], tapped: Collection[str] = ()
) -> int:
    """Fold each batch norm into the convolution whose very output it gets.

    Which convolution that is shows in a run, not in the order of attributes: in a
    pre-activation network the last batch norm and the first convolution are
    neighbours by name only. A convolution whose output is compared, or is used
    twice, stays.

    Args:
        model (nn.Module): A network in eval mode, changed in place.
        run (Callable): Runs it.
        tapped (Collection[str]): Modules whose outputs must not change.

    Returns:
        int: How many were folded.
    """
    names = {module: name for name, module in model.named_modules()}
    pairs = _conv_bn_pairs(model, run)
    pairs = [(conv, norm) for conv, norm in pairs if names[conv] not in tapped]
    for conv, norm in pairs:
        folded = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = folded.weight, folded.bias
        conv.requires_grad_(False)
        # A tap on the batch norm goes on reading what it read.
        _replace(model, names[norm], nn.Identity().eval())
    return len(pairs)


def _conv_bn_pairs(model, run) -> List[Tuple[nn.Module, nn.Module]]:
    producers: Dict[int, Tuple[nn.Module, Tensor]] = {}
    calls: Dict[nn.Module, int] = {}
    pairs = []

    def note(module, args, output):
        calls[module] = calls.get(module, 0) + 1
        if type(module) is nn.Conv2d:
            # Kept alive, so that no other tensor gets its id meanwhile.
            producers[id(output)] = module, output
            uses.count[id(output)] = 0
        elif isinstance(module, nn.BatchNorm2d) and id(args[0]) in producers:
            pairs.append((producers[id(args[0])][0], module, id(args[0])))

    uses = _Uses()
    leaves = [m for m in model.modules() if not any(True for _ in m.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        with uses:
            run()
    finally:
        for handle in handles:
            handle.remove()
    return [
        (conv, norm)
        for conv, norm, tensor in pairs
        if calls[conv] == calls[norm] == uses.count[tensor] == 1
        and norm.running_mean is not None
    ]


class _Uses(TorchFunctionMode):
    """Counts the operations that read a tensor, by its id."""

    def __init__(self):
        self.count = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        if tensors(output):  # asking for a shape is no use
            self.count.update(map(id, tensors([args, kwargs or {}])))
        return output


@torch.no_grad()
def _features(model, images):
    return tensors(model.extract_feat(images))


def _check_same(before, after, backbone):
    for old, new in zip(before, after):
        moved = (new - old).abs().max() / old.abs().max().clamp(min=1e-12)
        if not moved <= 1e-3:
            raise ConfigError(
                f'inference: fold_bn changes the features of this {backbone} by '
                f'{moved:.1%}, so it uses a convolution in a way that folding does '
                'not see; set fold_bn=False.'
            )


def _replace(model, path, module):
    parent, _, name = path.rpartition('.')
    setattr(model.get_submodule(parent), name, module)
