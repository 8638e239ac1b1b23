"""How long a training is and when it is validated."""

from dataclasses import dataclass
from typing import List, Optional

from mmengine.config import Config

from mmkd.configs import name_of
from mmkd.errors import ConfigError

#: Of MMEngine's loops: what they count, the key of their length, and how often they
#: validate where a config does not say.
LOOPS = {
    'EpochBasedTrainLoop': ('epoch', 'max_epochs', 1),
    'IterBasedTrainLoop': ('iteration', 'max_iters', 1000),
}


@dataclass(frozen=True)
class Loop:
    """The loop of a training.

    Args:
        unit (str): What it counts, ``'epoch'`` or ``'iteration'``.
        length (int): How many.
        interval (int): How many from a validation to the next.
        begin (int): Where the first validation may be.
    """

    unit: str
    length: int
    interval: int
    begin: int

    @classmethod
    def of(cls, cfg: Config) -> 'Loop':
        """Read it from a config.

        Raises:
            ConfigError: It is another kind of loop, validates at changing intervals or
                not at all.
        """
        spec = cfg.get('train_cfg') or {}
        kind = name_of(spec)
        if not kind and 'by_epoch' in spec:
            kind = f'{"Epoch" if spec.by_epoch else "Iter"}BasedTrainLoop'
        unit, key, interval = LOOPS.get(kind, (None, None, None))
        if key not in spec:
            raise ConfigError(
                'train_cfg must be dict(by_epoch=True, max_epochs=N) or '
                "dict(by_epoch=False, max_iters=N): a benchmark knows MMEngine's own "
                f'loops only; got {dict(spec)}.'
            )
        if spec.get('dynamic_intervals'):
            raise ConfigError(
                'train_cfg.dynamic_intervals: a benchmark validates at one interval; '
                'take it out.'
            )
        loop = cls(
            unit,
            int(spec[key]),
            spec.get('val_interval', interval),
            spec.get('val_begin', 1),
        )
        if loop.begin > loop.length:
            raise ConfigError(
                f'train_cfg.val_begin {loop.begin} is after the end of {loop}, so '
                'nothing is validated; take it out.'
            )
        return loop

    def __str__(self) -> str:
        return f'{self.length} {self.unit}s'

    def validations(self, until: Optional[int] = None) -> List[int]:
        """Return where MMEngine validates, up to a place and with it."""
        end = self.length if until is None else until
        return [
            step
            for step in range(self.begin, end + 1)
            if step % self.interval == 0 or step == self.length
        ]
