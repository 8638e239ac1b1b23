"""Any two modules, named by their paths."""

from typing import Sequence

from torch import nn

from mmkd.errors import ConfigError

from ..partial_forward import part_of
from ..taps import Taps, find_module
from .base import Aligned, Pairing
from .roi import roi_extractors


class ModulePairing(Pairing):
    """Outputs of a student's and a teacher's module, level by level.

    Inside a RoI head both run on the student's RoIs.

    Args:
        student_path (str): Dotted name of the student's module, such as ``'neck'``.
        teacher_path (str): The teacher's.
        student (nn.Module): The student.
        teacher (nn.Module): The teacher.

    Raises:
        ConfigError: There is no such module, or it cannot be run alone.
    """

    def __init__(
        self,
        student_path: str,
        teacher_path: str,
        student: nn.Module,
        teacher: nn.Module,
    ) -> None:
        find_module(student, student_path, 'student')
        find_module(teacher, teacher_path, 'teacher')
        self.student_part = part_of(student_path, student, 'student')
        self.teacher_part = part_of(teacher_path, teacher, 'teacher')
        self.student_outputs, self.teacher_outputs = [student_path], [teacher_path]
        if self.teacher_part == 'roi_head':
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
