"""A stem and stages: the base of the networks of the distillation literature."""

from typing import Optional, Sequence, Tuple, Union

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmkd.errors import ConfigError

#: Normal, variance 2 / (output channels x kernel area); biases 0, batch norms 1 and 0.
KAIMING_INIT = [
    dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'),
    dict(type='Constant', layer='BatchNorm2d', val=1, bias=0),
]


def check_out_indices(out_indices: Sequence[int], num_stages: int) -> Tuple[int, ...]:
    """Return ``out_indices`` as a tuple.

    Raises:
        ConfigError: It is empty or no sequence, or a stage does not exist.
    """
    stages = range(num_stages)
    is_sequence = isinstance(out_indices, (list, tuple)) and out_indices
    if not is_sequence or any(index not in stages for index in out_indices):
        raise ConfigError(
            f'out_indices={out_indices!r}: the network has the stages 0 to '
            f'{num_stages - 1}; give a tuple of some, such as ({num_stages - 1},).'
        )
    return tuple(out_indices)


class StagedBackbone(BaseModule):
    """Runs ``stem``, then ``layer1``, ``layer2``, ... in order.

    Subclasses only build. The map of a stage is what the next one is given. What it was
    before its last activation, as in `OFD <https://arxiv.org/abs/1904.01866>`_ and
    `ReviewKD <https://arxiv.org/abs/2104.09044>`_, is the output of the module that
    :attr:`preact_names` names, for a tap.

    Args:
        stem (nn.Module): From images ``(N, 3, H, W)`` to the first stage's input.
        stages (Sequence[nn.Module]): As of :func:`.layers.make_stage`.
        out_indices (Sequence[int]): Stages to put out, counted from 0.
        init_cfg (dict | list[dict], optional): As of ``BaseModule``; None keeps what
            torch's modules start with. Defaults to :data:`KAIMING_INIT`.

    Raises:
        ConfigError: ``out_indices`` names a stage that does not exist.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        out_indices: Sequence[int],
        init_cfg: Optional[Union[dict, list]] = KAIMING_INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.out_indices = check_out_indices(out_indices, len(stages))
        self.stem = stem
        self.stage_names = tuple(f'layer{n}' for n, _ in enumerate(stages, 1))
        for name, stage in zip(self.stage_names, stages):
            self.add_module(name, stage)

    @property
    def preact_names(self) -> Tuple[str, ...]:
        """For each stage, the module that puts out its map before activation."""
        return tuple(f'{name}.preact' for name in self.stage_names)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Return the maps ``(N, C, H, W)`` of ``out_indices``, first stage first."""
        x = self.stem(x)
        maps = []
        for index, name in enumerate(self.stage_names):
            x = getattr(self, name)(x)
            if index in self.out_indices:
                maps.append(x)
        return tuple(maps)
