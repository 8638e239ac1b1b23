"""One entry of ``losses=dict(...)``: what is compared, how, and with what weight."""

from typing import List, Optional, Union

from torch import Tensor, nn

from mmkd.construct import construct, registered
from mmkd.errors import ConfigError

from .adapters import build_adapter
from .losses import DistillLoss
from .pairings import Aligned, build_pairing
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
        self.loss = _build_loss(name, type, arguments)
        source: Teacher = teachers[self.teacher]
        self.pairing, self._adapter = build_pairing(on, student, source.model)
        self.pairing.check_targets(student, self.loss, name)
        self.adapters = nn.ModuleList()
        self.shapes: List[tuple] = []

    def fit(self, student: Taps, teacher: Taps) -> None:
        """Check the shapes of a dry run and make the adapters that they need.

        Raises:
            ConfigError: The two sides cannot be compared.
        """
        ours = self.pairing.tensors(student, 'student')
        theirs = self.pairing.tensors(teacher, 'teacher')
        where = f'{self.name} ({self.pairing.describe()})'
        if len(ours) != len(theirs):
            raise ConfigError(
                f'{where}: the student puts out {len(ours)} tensors and the teacher '
                f'{len(theirs)}; choose modules with as many levels.'
            )
        for level, (our, their) in enumerate(zip(ours, theirs)):
            if self.pairing.has_target and our.shape[1] != their.shape[1]:
                raise ConfigError(
                    f'{where}: the student has {our.shape[1]} columns and the teacher '
                    f'{their.shape[1]}; logits and boxes are only comparable between '
                    'models of the same classes.'
                )
            at = f'{where}, level {level}' if len(ours) > 1 else where
            adapter = build_adapter(our.shape, their.shape, at, self._adapter)
            self.adapters.append(adapter or nn.Identity())
            self.shapes.append((tuple(our.shape), tuple(their.shape)))

    def forward(self, aligned: Aligned) -> Tensor:
        """Return the unweighted loss."""
        student = map(_call, self.adapters, aligned.student)
        return self.loss(list(student), aligned.teacher, aligned.targets)


def _call(adapter, tensor):
    return adapter(tensor)


def _choose_teacher(name, wanted, teachers):
    if wanted is None and len(teachers) == 1:
        return next(iter(teachers))
    if wanted not in teachers:
        raise ConfigError(
            f'{name}: teacher={wanted!r}, but there are {", ".join(teachers)}; name '
            'one of them.'
        )
    return wanted


def _build_loss(name, kind, arguments) -> DistillLoss:
    found = registered(name, kind, 'Loss')
    loss = construct(f'{name} ({kind})', found, **arguments)
    if not hasattr(loss, 'needs_target'):
        raise ConfigError(
            f'{name}: {kind!r} is no distillation loss; derive it from '
            'mmkd.models.losses.DistillLoss.'
        )
    return loss
