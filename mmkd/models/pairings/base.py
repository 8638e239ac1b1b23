"""What lines up student and teacher, for one family of models."""

from typing import List, NamedTuple, Optional, Sequence

from torch import Tensor, nn

from ..taps import Taps


class Aligned(NamedTuple):
    """What a loss compares: one entry a level (or cascade stage)."""

    student: List[Tensor]
    teacher: List[Tensor]
    targets: List[Optional[Tensor]]


class Pairing:
    """Lines up what student and teacher say about the same thing.

    A subclass says which modules to record on either side and which part of the
    teacher has to run. It keeps names and numbers only, never a module: it is copied
    with the Distiller.
    """

    #: What ``on=`` may name, and what it did.
    names: Sequence[str] = ()
    name = ''

    #: Parts of the teacher to run, see ``partial_forward.PARTS``.
    teacher_parts: Sequence[str]
    #: Likewise of the student, for a dry run.
    student_parts: Sequence[str]

    #: Modules whose outputs are compared.
    student_outputs: Sequence[str] = ()
    teacher_outputs: Sequence[str] = ()
    #: Student modules whose inputs are needed too.
    student_inputs: Sequence[str] = ()
    #: Where parts run on the student's RoIs: the modules that get them, one a stage,
    #: and the stages to run.
    roi_extractors: Sequence[str] = ()
    stages: Sequence[int] = ()

    #: Whether hard labels can come with the comparison.
    has_target = False

    def check_targets(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse, before training, a loss whose labels this pairing cannot give.

        Raises:
            ConfigError: The loss needs hard labels and none come.
        """

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
        return [out for name in names for out in taps[name].outputs()]

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return what is to be compared in this step."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in a few words which two things are compared."""
        ours, theirs = ', '.join(self.student_outputs), ', '.join(self.teacher_outputs)
        paths = ours if ours == theirs else f'{ours} and {theirs}'
        return f'{self.name}: {paths}' if self.name else paths
