"""One entry of ``losses=dict(...)``: what is compared, how, and with what weight."""

from contextlib import AbstractContextManager
from itertools import zip_longest
from typing import Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError, MisfitError

from .adapters import LevelAdapters, build_adapter
from .losses.base import DistillLoss
from .losses.build import build_loss
from .losses.input_checks import LABELS
from .losses.levels import LossInputs
from .losses.numerics import promoted
from .pairings import Aligned, build_pairing
from .pairings.single_label import check_single_label
from .schedule import Schedule
from .side_information import SIDE_INFORMATION
from .taps import Taps
from .teacher import Teacher, choose_teacher
from .term_checks import check_columns, check_finite, check_place, padding_of


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
        self.teacher = choose_teacher(name, teacher, teachers)
        self.schedule = Schedule.build(weight)
        check_place(name, type, arguments)
        self.loss = build_loss(name, type, arguments)
        source: Teacher = teachers[self.teacher]
        # Where sizes have to agree, they do not if the teacher sees another one.
        own_size = source.input_size is not None and self.loss.adapts
        resize = 'teacher' if own_size else None
        self.pairing, self._adapter = build_pairing(on, student, source.model, resize)
        source.check_asked(self.pairing.teacher_outputs)
        self._check_resize()
        self._check_needs(student)
        self._check_classes(student, source.model)
        self.adapters = LevelAdapters()
        #: Of both sides' tensors in a dry run, a pair a level; () where one has none.
        self.shapes: List[tuple] = []

    def fit(
        self, student: Taps, teacher: Taps, source: Teacher, samples: Sequence
    ) -> None:
        """Check the shapes of a dry run and make the adapters that they need.

        Args:
            student (Taps): What the student recorded.
            teacher (Taps): What the teacher recorded.
            source (Teacher): The teacher.
            samples (Sequence): Data samples of the made-up images.

        Raises:
            ConfigError: The two sides cannot be compared.
        """
        self.pairing.check(student, teacher)
        own, others = (
            _shapes(self.pairing.tensors(*side))
            for side in ((student, 'student'), (teacher, 'teacher'))
        )
        self.shapes = list(zip_longest(own, others, fillvalue=()))
        tensors, wanted = self.pairing.sides(student, teacher)
        shapes, wanted_shapes = _shapes(tensors), _shapes(wanted)
        where = f'{self.name} ({type(self.loss).__name__} on {self.pairing.describe()})'
        if self.loss.pairs_levels and len(tensors) != len(wanted):
            raise MisfitError(
                f'{where}: the student puts out {len(tensors)} tensors and the teacher '
                f'{len(wanted)}; choose modules with as many levels.'
            )
        adapted = []
        for level, tensor in enumerate(tensors):
            at = f'{where}, level {level}' if len(tensors) > 1 else where
            target = wanted_shapes[level] if self.loss.pairs_levels else shapes[level]
            at += padding_of(source, shapes[level], target)
            adapter = self._make_adapter(shapes[level], target, at).to(tensor)
            self.adapters.append(adapter)
            adapted.append(_shape_after(adapter, tensor))
            if self.loss.adapts and adapted[-1] != target:
                raise MisfitError(
                    f'{at}: the adapter {type(adapter).__name__} gives '
                    f'{adapted[-1]}, but the teacher {target}; choose one that ends in '
                    'the shape of the teacher.'
                )
        self.loss.fit(
            LossInputs(
                where,
                adapted,
                wanted_shapes,
                self.pairing.student_outputs,
                self.pairing.teacher_outputs,
                source,
            )
        )
        # A loss computes in no less than float32; each adapter is in its level's.
        self.loss.to(promoted(tensors[0]))
        self._try(tensors, wanted, samples, where)

    @property
    def parts(self) -> Dict[str, Tensor]:
        """What the last value was made of, by the name in the log.

        Raises:
            ConfigError: MMEngine would add a part to the total.
        """
        parts = {
            self.name.replace('loss', part): value
            for part, value in self.loss.parts.items()
        }
        for name in parts:
            if 'loss' in name:
                raise ConfigError(
                    f'{self.name}: {type(self.loss).__name__} gives a part that is '
                    f'logged as {name!r}, and MMEngine adds up what has loss in its '
                    "name; name parts, which compare returns, without 'loss'."
                )
        return parts

    def around(self, student: Taps, teacher: Taps) -> AbstractContextManager:
        """Return what to open around the student's forward pass."""
        self.adapters.forget()
        return self.loss.around(student, teacher, self.adapters)

    def forward(
        self, aligned: Aligned, data_samples: Optional[Sequence] = None
    ) -> Tensor:
        """Return the unweighted loss.

        Args:
            aligned (Aligned): What to compare.
            data_samples (Sequence, optional): The batch's.
        """
        student = [self.adapters.adapt(*level) for level in enumerate(aligned.student)]
        self.adapters.forget()
        side = {
            name: SIDE_INFORMATION[name](data_samples, student[0].device, self.name)
            for name in self.loss.needs
            if name not in LABELS
        }
        return self.loss(student, *aligned[1:], **side)

    def _check_needs(self, student):
        known = [*LABELS, *SIDE_INFORMATION]
        for name in self.loss.needs:
            if name not in known:
                raise ConfigError(
                    f'{self.name}: {type(self.loss).__name__} needs {name!r}, but a '
                    f'loss can need {", ".join(known)} only.'
                )
        if self.pairing.weighs_rows and not self.loss.weighs_rows:
            raise ConfigError(
                f'{self.name}: {self.pairing.describe()} weights its rows, and '
                f'{type(self.loss).__name__} has no value for each row; choose a loss '
                'that has, such as KDLoss.'
            )
        if self.pairing.of_pixels and self.loss.compares_pairs:
            raise ConfigError(
                f'{self.name}: {type(self.loss).__name__} compares each row with each, '
                f'and rows of {self.pairing.describe()} are pixels, too many for any '
                'memory; choose a loss of single rows, such as KDLoss.'
            )
        self.pairing.check_labels(student, self.loss, self.name)

    def _check_resize(self):
        kind = type(self.loss)
        if self.pairing.resize and kind.around is not DistillLoss.around:
            raise ConfigError(
                f'{self.name}: {kind.__name__} compares what modules put out while the '
                'student runs, before anything is resized; leave resize out.'
            )

    def _check_classes(self, student, teacher):
        if not self.loss.of_classes:
            return
        where = f'{self.name} ({type(self.loss).__name__})'
        pairing = self.pairing
        check_single_label(where, student, pairing.student_outputs, 'student')
        check_single_label(where, teacher, pairing.teacher_outputs, 'teacher')

    def _try(self, student, teacher, samples, where):
        """Compare once, so that a loss that cannot is known before training."""
        if 'index' in self.loss.needs:
            return  # made-up images have no place in a training set
        self.eval()  # batch statistics of made-up images must not stay
        classes = [side.new_zeros(len(side), dtype=torch.long) for side in student]
        with torch.enable_grad():
            leaves = [side.detach().requires_grad_() for side in student]
            # What follows may change them in place, which no leaf allows.
            sides = [leaf.clone() for leaf in leaves], teacher
            value = self(Aligned(*sides, classes), samples)
        self.parts  # noqa: B018  refuses wrong names
        self.train()
        if not isinstance(value, Tensor) or value.dim():
            got = f'shape {tuple(value.shape)}' if isinstance(value, Tensor) else value
            raise ConfigError(
                f'{where}: the loss must be one number, but compare gave {got}; '
                'average what it computes, with .mean().'
            )
        if all(tensor.isfinite().all() for tensor in (*student, *teacher)):
            check_finite(value, [*leaves, *self.parameters()], where)

    def _make_adapter(self, shape, wanted, where):
        if self.pairing.of_classes and self._adapter in (None, 'auto'):
            check_columns(shape, wanted, where)
        if self._adapter == 'auto' and not self.loss.adapts:
            return nn.Identity()
        return build_adapter(shape, wanted, where, self._adapter) or nn.Identity()


def _shapes(tensors):
    return [tuple(tensor.shape) for tensor in tensors]


def _shape_after(adapter, tensor):
    """Shape of ``tensor`` after ``adapter``, which is left as it was."""
    adapter.eval()  # batch statistics of made-up images must not stay
    shape = adapter(tensor).shape
    adapter.train()
    return tuple(shape)
