"""What keeps broken weights out of checkpoints."""

from itertools import chain
from typing import Dict, Iterator, List

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmkd.errors import NonFiniteLossError


class FiniteWeights:
    """Compares weights and buffers with what they were before training.

    A gradient that is not finite breaks weights under a loss that is finite, and an
    overflow breaks the running statistics of a batch norm. What was not finite before
    training, such as a mask of minus infinity, does not count, nor does what no
    checkpoint keeps.

    Args:
        models (dict[str, nn.Module]): By what they are, for the message.
    """

    def __init__(self, models: Dict[str, nn.Module]) -> None:
        self._models = models
        self._whole = {
            what: set(_kept(model)).difference(_broken(model))
            for what, model in models.items()
        }

    def check(self) -> None:
        """Stop all processes, which have to call it, if weights of one are broken.

        Raises:
            NonFiniteLossError: They are, in some process.
        """
        own = next(self._new(), '')
        anywhere = torch.tensor(int(bool(own)))
        all_reduce(anywhere, 'max')
        if anywhere.item():
            self._stop(own or 'some weights in another process are')

    def check_alone(self) -> None:
        """Stop this process, where the others do not check.

        Raises:
            NonFiniteLossError: Its weights are broken.
        """
        for own in self._new():
            self._stop(own)

    def _new(self) -> Iterator[str]:
        for what, model in self._models.items():
            names = [name for name in _broken(model) if name in self._whole[what]]
            if names:
                more = f' and {len(names) - 1} more' if len(names) > 1 else ''
                yield f'{names[0]}{more} of {what} {"are" if more else "is"}'

    def _stop(self, which):
        raise NonFiniteLossError(
            f'{which} not finite any more, so no checkpoint is written: a gradient or '
            'an activation was not finite; go on from the last checkpoint with a lower '
            'learning rate, clip_grad in optim_wrapper, or without float16.'
        )


def _kept(model: nn.Module) -> Dict[str, Tensor]:
    """What a checkpoint keeps of floating point."""
    passing = {
        f'{prefix}.{name}' if prefix else name
        for prefix, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }
    return {
        name: tensor.detach()
        for name, tensor in chain(model.named_parameters(), model.named_buffers())
        if tensor.is_floating_point() and name not in passing
    }


def _broken(model: nn.Module) -> List[str]:
    """Names of what holds NaN or infinity, read at once."""
    named = _kept(model)
    if not named:
        return []
    flags = [tensor.isfinite().all() for tensor in named.values()]
    finite = torch.stack([flag.to(flags[0].device) for flag in flags]).tolist()
    return [name for name, fine in zip(named, finite) if not fine]
