"""One entry of ``losses=dict(...)``: what is compared, how, and with what weight."""

from itertools import zip_longest
from typing import Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

from .adapters import build_adapter
from .losses.base import LossInputs
from .losses.build import build_loss
from .pairings import Aligned, build_pairing
from .sample_indices import sample_indices
from .schedule import Schedule
from .taps import Taps
from .teacher import Teacher


class Term(nn.Module):
    """A loss, its pairing, its adapters and its weight.

    Args:
        name (str): Key in ``losses``; the name in the log.
        student (nn.Module): The student.
        teachers (dict[str, Teacher]): The teachers by name.
        type (str): A registered loss.
        on (str | dict): What to compare, see :func:`build_pairing`.
        weight (float | dict): A number or the arguments of :class:`Schedule`.
            Defaults to 1.0.
        teacher (str, optional): Which teacher. Needed where there are several.
        **arguments: The loss's own arguments.

    Raises:
        ConfigError: Something is unknown or does not fit.
    """

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teachers: dict,
        type: str,
        on: Union[str, dict],
        weight: Union[float, dict] = 1.0,
        teacher: Optional[str] = None,
        **arguments,
    ) -> None:
        super().__init__()
        self.name = name
        self.teacher = _choose_teacher(name, teacher, teachers)
        self.schedule = Schedule.build(weight)
        self.loss = build_loss(name, type, arguments)
        source: Teacher = teachers[self.teacher]
        self.pairing, self._adapter = build_pairing(on, student, source.model)
        self.pairing.check_targets(student, self.loss, name)
        self.adapters = nn.ModuleList()
        #: Of both sides' tensors in a dry run, a pair a level; () where one has none.
        self.shapes: List[tuple] = []

    def fit(self, student: Taps, teacher: Taps, source: Teacher) -> None:
        """Check the shapes of a dry run and make the adapters that they need.

        Args:
            student (Taps): What the student recorded.
            teacher (Taps): What the teacher recorded.
            source (Teacher): The teacher.

        Raises:
            ConfigError: The two sides cannot be compared.
        """
        self.pairing.check(student, teacher)
        ours = self.pairing.tensors(student, 'student')
        theirs = self.pairing.tensors(teacher, 'teacher')
        where = f'{self.name} ({type(self.loss).__name__} on {self.pairing.describe()})'
        if self.loss.pairs_levels and len(ours) != len(theirs):
            raise ConfigError(
                f'{where}: the student puts out {len(ours)} tensors and the teacher '
                f'{len(theirs)}; choose modules with as many levels.'
            )
        adapted = []
        matched = theirs if self.loss.pairs_levels else ours
        for level, (our, their) in enumerate(zip(ours, matched)):
            at = f'{where}, level {level}' if len(ours) > 1 else where
            if self.pairing.has_target and self._adapter is None:
                _check_columns(our.shape, their.shape, at)
            adapter = self._build_adapter(our.shape, their.shape, at)
            self.adapters.append(adapter or nn.Identity())
            adapted.append(_shape_after(adapter, our))
            if self.loss.adapts and adapted[-1] != tuple(their.shape):
                raise ConfigError(
                    f'{at}: the adapter {type(adapter).__name__} gives '
                    f'{adapted[-1]}, but the teacher {tuple(their.shape)}; choose '
                    'one that ends in the shape of the teacher.'
                )
        shapes = ([tuple(one.shape) for one in side] for side in (ours, theirs))
        self.shapes = list(zip_longest(*shapes, fillvalue=()))
        self.loss.fit(
            LossInputs(
                where,
                adapted,
                [tuple(their.shape) for their in theirs],
                self.pairing.student_outputs,
                self.pairing.teacher_outputs,
                source,
            )
        )
        self._try(ours, theirs, where)

    @property
    def parts(self) -> Dict[str, Tensor]:
        """What the last value was made of, by the name in the log."""
        return {
            self.name.replace('loss', part): value
            for part, value in self.loss.parts.items()
        }

    @property
    def cuts(self) -> Sequence[str]:
        """Student modules behind which the gradient ends."""
        return self.loss.cuts

    def part(self, level: int, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the loss of a level that is cut off, before the others are known."""
        return self.loss.part(level, self.adapters[level](student), teacher)

    def forward(
        self,
        aligned: Aligned,
        data_samples: Optional[Sequence] = None,
        given: Optional[Dict[int, Tensor]] = None,
    ) -> Tensor:
        """Return the unweighted loss.

        Args:
            aligned (Aligned): What to compare.
            data_samples (Sequence, optional): The batch's.
            given (dict[int, Tensor], optional): What :meth:`part` said of levels, see
                :class:`~mmkd.models.cuts.Cuts`.
        """
        given = given or {}
        student = [
            tensor if level in given else adapter(tensor)
            for level, (adapter, tensor) in enumerate(
                zip(self.adapters, aligned.student)
            )
        ]
        extras = dict(given=given) if given else {}
        if self.loss.needs_index:
            device = student[0].device
            extras['index'] = sample_indices(data_samples, self.name, device)
        return self.loss(student, aligned.teacher, aligned.targets, **extras)

    def _try(self, ours, theirs, where):
        """Compare once, so that a loss that cannot is known before training."""
        if self.loss.needs_index:
            return  # made-up images have no place in a training set
        self.eval()  # batch statistics of made-up images must not stay
        classes = [our.new_zeros(len(our), dtype=torch.long) for our in ours]
        value = self(Aligned(ours, theirs, classes))
        self.train()
        if not isinstance(value, Tensor) or value.dim():
            got = f'shape {tuple(value.shape)}' if isinstance(value, Tensor) else value
            raise ConfigError(
                f'{where}: the loss must be one number, but compare gave {got}; '
                'average what it computes, with .mean().'
            )

    def _build_adapter(self, our, their, where):
        if self._adapter == 'auto' and not self.loss.adapts:
            return None
        return build_adapter(our, their, where, self._adapter)


def _check_columns(our, their, where):
    if our[1] != their[1]:
        raise ConfigError(
            f'{where}: the student has {our[1]} columns and the teacher {their[1]}; '
            'logits and boxes are only comparable between models of the same classes.'
        )


def _shape_after(adapter, tensor):
    """Shape of ``tensor`` after ``adapter``, which is left as it was."""
    if adapter is None:
        return tuple(tensor.shape)
    adapter.eval()  # batch statistics of made-up images must not stay
    shape = adapter(tensor).shape
    adapter.train()
    return tuple(shape)


def _choose_teacher(name, wanted, teachers):
    if wanted is None and len(teachers) == 1:
        return next(iter(teachers))
    if wanted not in teachers:
        raise ConfigError(
            f'{name}: teacher={wanted!r}, but there are {", ".join(teachers)}; name '
            'one of them.'
        )
    return wanted
