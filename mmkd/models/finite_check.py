"""Stopping at a loss that is not finite."""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import all_gather_object, all_reduce
from torch import Tensor

from mmkd.errors import NonFiniteLossError

from .pairings import Aligned

#: Beside the parts: what they add up to.
TOTAL = 'the total loss'
#: The step of what was finite throughout.
NEVER = torch.iinfo(torch.int64).max
SIDES = ('student', 'teacher')


class _Broken(NamedTuple):
    """The first part that was not finite; the least of several came first."""

    step: int
    position: int
    name: str
    why: str


class FiniteCheck:
    """Stops training at a loss that is not finite, with the name of the first part.

    The parts are the student's own losses, each weighted term, and the total. In a
    distributed run every process stops, at the same step. On the CPU that is at once.
    Elsewhere steps gather on the device and are read at intervals, as reading waits for
    the device; :class:`~mmkd.engine.hooks.FiniteLossHook` reads before each checkpoint,
    too.

    Args:
        interval (int): Steps noted between two readings. Defaults to 50.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._noted = 0
        #: Since the last reading, of parts and of the sides of terms, by their names:
        #: the first step in which each was not finite, a tensor of one number each.
        self._first: Dict[Tuple[tuple, tuple], Tensor] = {}

    def note(
        self,
        losses: Dict[str, Union[Tensor, Sequence[Tensor]]],
        compared: Optional[Dict[str, Aligned]] = None,
    ) -> None:
        """Take the losses of one step; every process notes each step.

        Args:
            losses (dict[str, Tensor | Sequence[Tensor]]): As MMEngine adds them up:
                those with loss in their names.
            compared (dict[str, Aligned], optional): What some of them compared.

        Raises:
            NonFiniteLossError: It is time to read, and a loss of some process is not
                finite, or was not since the last reading.
        """
        parts = {name: _mean(value) for name, value in losses.items() if 'loss' in name}
        parts = {name: value for name, value in parts.items() if value is not None}
        if not parts:
            return
        zero = next(iter(parts.values())).new_zeros(())
        sides = {
            (name, side): sum(map(_sum, getattr(aligned, side)), zero)
            for name, aligned in (compared or {}).items()
            for side in SIDES
        }
        numbers = [*parts.values(), sum(parts.values()), *sides.values()]
        finite = torch.stack([number.isfinite() for number in numbers])
        self._noted += 1
        first = torch.where(finite, NEVER, self._noted)
        names = (*parts, TOTAL), tuple(sides)
        earlier = self._first.get(names)
        self._first[names] = first if earlier is None else first.minimum(earlier)
        if first.device.type == 'cpu' or self._noted % self.interval == 0:
            self.read()

    def read(self) -> None:
        """Read what was noted since the last reading, of all processes together.

        Raises:
            NonFiniteLossError: A loss of some process was not finite.
        """
        if not self._first:
            return
        first = torch.stack([
            steps[: len(parts)].min() for (parts, _), steps in self._first.items()
        ]).min()  # fmt: skip
        all_reduce(first, 'min')
        if first.item() == NEVER:
            self._first = {}
            return
        own = self._find()
        everywhere = [broken for broken in all_gather_object(own) if broken]
        broken = min(everywhere)
        if own is None or own[:2] > broken[:2]:
            cause = _cause(broken.name, broken.step, {})
            broken = broken._replace(why=' in another process' + cause)
        self._stop(broken)

    def read_alone(self) -> None:
        """Read what this process noted, where the others do not read, and keep it.

        Raises:
            NonFiniteLossError: A loss of this process was not finite.
        """
        broken = self._find()
        if broken:
            self._stop(broken)

    def _find(self) -> Optional[_Broken]:
        every = []
        for (parts, sides), steps in self._first.items():
            steps = steps.tolist()
            of_sides = dict(zip(sides, steps[len(parts) :]))
            for position, (name, step) in enumerate(zip(parts, steps)):
                if step != NEVER:
                    when = '' if step == self._noted else ' in one of the last steps'
                    why = when + _cause(name, step, of_sides)
                    every.append(_Broken(step, position, name, why))
        return min(every, default=None)

    def _stop(self, broken):
        self._first = {}  # whoever goes on in spite of it begins anew
        raise NonFiniteLossError(f'{broken.name} is not finite{broken.why}')


def _mean(value) -> Optional[Tensor]:
    """What MMEngine makes of a loss: a number, or None of what it refuses itself."""
    if isinstance(value, Tensor):
        return value.detach().mean()
    return sum(item.detach().mean() for item in value) if value else None


def _sum(tensor):
    """A number that is not finite if one in a tensor is not, in one pass."""
    return tensor.detach().sum(dtype=torch.float32)


def _cause(name, step, sides):
    """What a part compared, and what to do."""
    culprits = [side for side in SIDES if sides.get((name, side), NEVER) <= step]
    if 'teacher' in culprits:
        advice = "check the teacher's checkpoint, and let it run in float32."
    else:
        advice = (
            'lower the learning rate or the weight, lengthen the warm-up, or train '
            'without float16.'
        )
    if culprits:
        who = ' and '.join(f'the {side}' for side in culprits)
        return f': {who} put out non-finite values; {advice}'
    both = ': both sides are finite' if (name, SIDES[0]) in sides else ''
    return f'{both}; {advice}'
