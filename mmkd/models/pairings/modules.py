"""Any modules, named by their paths."""

from typing import Sequence

from torch import nn

from mmkd.errors import ConfigError

from ..partial_forward import parts_of
from ..taps import Taps
from .base import Aligned, Pairing
from .roi import roi_extractors


class ModulePairing(Pairing):
    """Outputs of the student's and the teacher's modules, level by level.

    Levels are what the modules put out, in the order of the paths: a neck's maps, or
    the maps of several stages. Inside a RoI head both run on the student's RoIs.

    Args:
        student_paths (Sequence[str]): Dotted names of the student's modules, such as
            ``['neck']``.
        teacher_paths (Sequence[str]): The teacher's.
        student (nn.Module): The student.
        teacher (nn.Module): The teacher.

    Raises:
        ConfigError: There is no such module, or it cannot be run alone.
    """

    def __init__(
        self,
        student_paths: Sequence[str],
        teacher_paths: Sequence[str],
        student: nn.Module,
        teacher: nn.Module,
    ) -> None:
        self.student_parts = parts_of(student_paths, student, 'student')
        self.teacher_parts = parts_of(teacher_paths, teacher, 'teacher')
        self.student_outputs = list(student_paths)
        self.teacher_outputs = list(teacher_paths)
        if 'roi_head' in self.teacher_parts:
            self.roi_extractors = self.student_inputs = roi_extractors(student)
            self.stages = range(len(self.roi_extractors))

    def check_targets(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse losses that need labels: features have none."""
        if loss.needs_target:
            raise ConfigError(
                f'{name}: {type(loss).__name__} needs labels, which come with logits '
                f"('logits', 'roi.logits'), not with modules ({self.describe()})."
            )

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the tensors that the two modules put out."""
        ours, theirs = (
            self.tensors(student, 'student'),
            self.tensors(teacher, 'teacher'),
        )
        return Aligned(ours, theirs, [None] * len(ours))
