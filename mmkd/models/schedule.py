"""Loss weights as pure functions of the progress of training."""

import math
from typing import NamedTuple, Optional, Sequence, Union

from mmengine.logging import MessageHub

from mmkd.construct import construct, got, is_number, is_whole
from mmkd.errors import ConfigError

SHAPES = ('constant', 'linear', 'cosine', 'step')


class Progress(NamedTuple):
    """Where training stands; all counts from 0."""

    iter: int = 0
    epoch: int = 0
    max_iters: Optional[int] = None
    max_epochs: Optional[int] = None

    @classmethod
    def current(cls) -> 'Progress':
        """Read the progress that MMEngine's Runner publishes in its MessageHub."""
        hub = MessageHub.get_current_instance()
        known = hub.runtime_info
        return cls(
            known.get('iter', 0),
            known.get('epoch', 0),
            known.get('max_iters'),
            known.get('max_epochs'),
        )


class Schedule:
    """The weight of a loss over time, without state: a resumed run goes on rightly.

    A warm-up multiplies a shape. A warm-up by epochs is the published one of the
    CIFAR-100 recipes, ``min(epoch / warmup_epochs, 1)`` with epochs counted from 1;
    by iterations it is the same with iterations.

    Args:
        value (float): The full weight. Defaults to 1.0.
        warmup_epochs (int): Epochs until the full weight. Defaults to 0.
        warmup_iters (int): Iterations until the full weight. Defaults to 0.
        shape (str): ``'constant'``; ``'linear'`` or ``'cosine'`` from ``value`` at
            ``begin`` to ``end_value`` at ``end``; or ``'step'``, times ``gamma`` at
            each of ``milestones``. Defaults to ``'constant'``.
        begin (int): Start of a linear or cosine change. Defaults to 0.
        end (int, optional): Its end. Defaults to the end of training.
        end_value (float): Weight at and after ``end``. Defaults to 0.0.
        milestones (Sequence[int]): For ``'step'``. Defaults to ().
        gamma (float): For ``'step'``. Defaults to 0.1.
        stop (int, optional): From here on the weight is zero. Defaults to None.
        unit (str): Of begin, end, milestones and stop: ``'epoch'`` or ``'iter'``.
            Defaults to ``'epoch'``.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self,
        value: float = 1.0,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
        shape: str = 'constant',
        begin: int = 0,
        end: Optional[int] = None,
        end_value: float = 0.0,
        milestones: Sequence[int] = (),
        gamma: float = 0.1,
        stop: Optional[int] = None,
        unit: str = 'epoch',
    ) -> None:
        if shape not in SHAPES:
            raise ConfigError(f'weight: shape must be one of {SHAPES}, got {shape!r}.')
        if unit not in ('epoch', 'iter'):
            raise ConfigError(f"weight: unit must be 'epoch' or 'iter', got {unit!r}.")
        if not isinstance(milestones, (list, tuple)):
            raise ConfigError(f'weight: milestones must be a list, got {milestones!r}.')
        numbers = dict(value=value, end_value=end_value, gamma=gamma)
        for name, number in numbers.items():
            if not is_number(number) or number < 0:
                raise ConfigError(
                    f'weight: {name} must be a number of at least 0, {got(number)}.'
                )
        times = [
            ('warmup_epochs', warmup_epochs),
            ('warmup_iters', warmup_iters),
            ('begin', begin),
            ('end', 0 if end is None else end),
            ('stop', 0 if stop is None else stop),
            *(('milestones', milestone) for milestone in milestones),
        ]
        for name, time in times:
            if not is_whole(time) or time < 0:
                raise ConfigError(
                    f'weight: {name} must be a whole number of at least 0, {got(time)}.'
                )
        if stop == 0:
            raise ConfigError(
                'weight: stop=0 switches the loss off before it begins; leave stop, or '
                'the loss, out.'
            )
        if warmup_epochs and warmup_iters:
            raise ConfigError('weight: give warmup_epochs or warmup_iters, not both.')
        moves = shape in ('linear', 'cosine')
        unused = dict(
            begin=begin and not moves,
            end=end is not None and not moves,
            end_value=end_value and not moves,
            milestones=milestones and shape != 'step',
        )
        for name, is_unused in unused.items():
            if is_unused:
                raise ConfigError(
                    f'weight: shape={shape!r} does not use {name}; take it out, or '
                    'give the shape that does.'
                )
        if shape == 'step' and not milestones:
            raise ConfigError("weight: shape='step' needs milestones.")
        if end is not None and end <= begin:
            raise ConfigError(f'weight: end={end} must come after begin={begin}.')
        self.value = value
        self.warmup_epochs = warmup_epochs
        self.warmup_iters = warmup_iters
        self.shape = shape
        self.begin = begin
        self.end = end
        self.end_value = end_value
        self.milestones = tuple(milestones)
        self.gamma = gamma
        self.stop = stop
        self.unit = unit

    @classmethod
    def build(cls, spec: Union[float, dict]) -> 'Schedule':
        """Make a schedule of a number or a dict of arguments.

        Raises:
            ConfigError: ``spec`` is neither, or has an unknown key.
        """
        if isinstance(spec, (int, float)) and not isinstance(spec, bool):
            return cls(spec)
        if not isinstance(spec, dict):
            raise ConfigError(f'weight must be a number or a dict, got {spec!r}.')
        return construct('weight', cls, **spec)

    def __call__(self, progress: Progress) -> float:
        """Return the weight at ``progress``."""
        now = self._now(progress)
        if self.stop is not None and now >= self.stop:
            return 0.0
        return self._warmup(progress) * self._shaped(now, self._end(progress))

    def is_over(self, progress: Progress) -> bool:
        """Whether the weight is zero now and for the rest of training."""
        now = self._now(progress)
        if self.stop is not None and now >= self.stop:
            return True
        if self.shape not in ('linear', 'cosine'):
            return self.value == 0
        end = self._end(progress)
        done = self.value == 0 or (end is not None and now >= end)
        return self.end_value == 0 and done

    def check(self, progress: Progress) -> None:
        """Refuse a schedule that a run would not follow.

        Raises:
            ConfigError: Times are in epochs, but the loop counts iterations; or a
                change begins after the end.
        """
        times = (self.warmup_epochs, self.begin, self.end or 0, self.stop or 0)
        times += self.milestones
        by_epoch = self.warmup_epochs or self.unit == 'epoch'
        # To the end of training is no time at all in a run of one epoch.
        to_the_end = self.shape in ('linear', 'cosine') and self.end is None
        if by_epoch and (max(times) > 1 or to_the_end) and progress.max_epochs == 1:
            raise ConfigError(
                f'{self}: times are in epochs, but this run has one epoch (a loop by '
                "iterations counts as one); use warmup_iters and unit='iter'."
            )
        end = self._end(progress)
        if self.shape in ('linear', 'cosine') and end is not None and end <= self.begin:
            raise ConfigError(
                f'{self}: begin={self.begin} lies at or after the end, {end} '
                f'{self.unit}s; begin before, or give end=.'
            )

    def __repr__(self) -> str:
        defaults = Schedule.__init__.__defaults__
        names = Schedule.__init__.__code__.co_varnames[1 : len(defaults) + 1]
        given = [
            f'{name}={getattr(self, name)}'
            for name, default in zip(names, defaults)
            if name == 'value' or getattr(self, name) != default
        ]
        return f'weight({", ".join(given)})'

    def _now(self, progress):
        return progress.epoch if self.unit == 'epoch' else progress.iter

    def _end(self, progress):
        if self.end is not None:
            return self.end
        return progress.max_epochs if self.unit == 'epoch' else progress.max_iters

    def _warmup(self, progress):
        if self.warmup_epochs:
            return min((progress.epoch + 1) / self.warmup_epochs, 1.0)
        if self.warmup_iters:
            return min((progress.iter + 1) / self.warmup_iters, 1.0)
        return 1.0

    def _shaped(self, now, end):
        if self.shape == 'step':
            return self.value * self.gamma ** sum(now >= m for m in self.milestones)
        if self.shape == 'constant' or end is None:
            return self.value
        done = min(max((now - self.begin) / (end - self.begin), 0.0), 1.0)
        if self.shape == 'cosine':
            done = (1 - math.cos(math.pi * done)) / 2
        return self.value + (self.end_value - self.value) * done
