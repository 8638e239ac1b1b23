"""Any modules, named by their paths."""

from typing import Sequence

from torch import nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..taps import Taps
from .base import Aligned, Pairing, needs_labels


class ModulePairing(Pairing):
    """Outputs of the student's and the teacher's modules, level by level.

    Levels are what the modules put out, in the order of the paths: a neck's maps, or
    the maps of several stages. It stands behind ``on=`` wherever that names modules.

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
        super().__init__('', student, teacher, student_paths, teacher_paths)

    def check_labels(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse losses that need labels: features have none."""
        if needs_labels(loss):
            known = [
                name for name, kind in PAIRINGS.module_dict.items() if kind.has_labels
            ]
            raise ConfigError(
                f'{name}: {type(loss).__name__} needs labels, which come with '
                f'{", ".join(known)}, not with modules ({self.describe()}).'
            )

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the tensors that the two modules put out."""
        tensors = self.tensors(student, 'student')
        return Aligned(tensors, self.tensors(teacher, 'teacher'), [None] * len(tensors))
