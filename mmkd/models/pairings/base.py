"""What lines up student and teacher, for one family of models."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from torch import Tensor, nn

from mmkd.errors import ConfigError

from ..available import named_for
from ..families import family_of
from ..taps import Taps


class Aligned(NamedTuple):
    """What a loss compares: an entry a level (stage of a cascade, map of a neck)."""

    student: List[Tensor]
    teacher: List[Tensor]
    targets: List[Optional[Tensor]]
    #: Weight ``(N,)`` of each row, for losses that have a value a row; None for ones.
    weights: Optional[List[Optional[Tensor]]] = None
    #: What the sum over all rows is divided by; None for their number.
    divisor: Union[Tensor, float, None] = None


def needs_labels(loss: nn.Module) -> bool:
    """Whether a loss has to know the class of each row."""
    return bool({'labels', 'soft_labels'} & set(loss.needs))


class Pairing:
    """Lines up what student and teacher say about the same thing.

    A subclass says which modules to record on either side; how a network is run up to
    them is its family's matter. It keeps names and numbers only, never a module: it is
    copied with the Distiller. Registered, its name goes into ``on=``::

        @PAIRINGS.register_module(name=['query.logits', 'query.boxes'])
        class QueryPairing(Pairing): ...

    and its constructor takes that name, both models, and the options beside the name.

    Args:
        name (str): What ``on=`` named.
        student (nn.Module): The student.
        teacher (nn.Module): The teacher.
        student_outputs (Sequence[str]): Modules whose outputs are compared.
        teacher_outputs (Sequence[str]): The teacher's.

    Raises:
        ConfigError: There are no such modules, or they cannot be run alone.
    """

    #: How many dimensions its tensors have, see :attr:`.DistillLoss.ranks`; None where
    #: that hangs on the modules.
    rank: Optional[int] = None
    #: Whether labels come with the comparison.
    has_labels = False
    #: Whether columns are classes, or boxes of classes: these have to agree.
    of_classes = False
    #: Whether there are many rows of a single image.
    many_rows = False
    #: Whether rows are pixels: too many for a loss that compares each with each.
    of_pixels = False
    #: Whether rows come with weights or a divisor.
    weighs_rows = False

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        student_outputs: Sequence[str],
        teacher_outputs: Sequence[str],
    ) -> None:
        self.name = name
        self.student_outputs = list(student_outputs)
        self.teacher_outputs = list(teacher_outputs)
        family_of(student).check(student, self.student_outputs, 'student')
        family_of(teacher).check(teacher, self.teacher_outputs, 'teacher')
        #: The side, ``'student'`` or ``'teacher'``, whose maps are resized to the
        #: other's height and width where they differ; None for neither.
        self.resize: Optional[str] = None
        #: Student modules whose inputs are needed too.
        self.student_inputs: List[str] = []

    def asks(self) -> Dict[tuple, List[str]]:
        """Say up to which modules the teacher is run, by what it is asked.

        ``()`` is what the family makes of the modules alone; anything else are further
        arguments of its :meth:`.Family.late`, for families that take some.
        """
        return {(): self.teacher_outputs}

    def check_labels(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse, before training, a loss whose labels this pairing cannot give.

        Raises:
            ConfigError: The loss needs labels and none come.
        """
        if self.has_labels or not needs_labels(loss):
            return
        known = named_for(loss, student)
        come = ', '.join(known) or f'nothing that a {type(student).__name__} has'
        choose = 'one of these, or ' if known else ''
        raise ConfigError(
            f'{name}: {type(loss).__name__} needs labels, which come with {come}, not '
            f'with {self.describe()}; choose {choose}a loss without (FitNetLoss).'
        )

    def check(self, student: Taps, teacher: Taps) -> None:
        """Refuse, before training, networks that cannot be compared so.

        Args:
            student (Taps): What the student recorded in a dry run.
            teacher (Taps): What the teacher recorded.

        Raises:
            ConfigError: They cannot.
        """

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return the tensors of one side, before any selection or adapter."""
        names = self.student_outputs if role == 'student' else self.teacher_outputs
        return [tensor for name in names for tensor in taps[name].outputs()]

    def sides(self, student: Taps, teacher: Taps) -> Tuple[List[Tensor], List[Tensor]]:
        """Return the tensors of both, as they are compared, before any selection."""
        return self.tensors(student, 'student'), self.tensors(teacher, 'teacher')

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return what is to be compared in this step."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in a few words which two things are compared."""
        paths = [
            ', '.join(side) for side in (self.student_outputs, self.teacher_outputs)
        ]
        shown = ' and '.join(dict.fromkeys(paths))
        return f'{self.name}: {shown}' if self.name else shown
