"""Any modules, named by their paths."""

from typing import List, Optional, Sequence, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.errors import MisfitError

from ..guards import predicts_classes
from ..losses.checks import one_of
from ..taps import Taps
from .base import Aligned, Pairing

RESIZE = ('student', 'teacher')


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
        resize (str, optional): ``'student'`` or ``'teacher'``: whose maps are resized
            (bilinear), before adapters, where their height or width is not that of the
            other's. Defaults to neither: sizes have to agree.

    Raises:
        ConfigError: There is no such module, or it cannot be run alone.
    """

    def __init__(
        self,
        student_paths: Sequence[str],
        teacher_paths: Sequence[str],
        student: nn.Module,
        teacher: nn.Module,
        resize: Optional[str] = None,
    ) -> None:
        super().__init__('', student, teacher, student_paths, teacher_paths)
        self.of_classes = any(predicts_classes(teacher, path) for path in teacher_paths)
        if resize is not None:
            self.resize = one_of(self.describe(), 'resize', resize, RESIZE)

    def check(self, student: Taps, teacher: Taps) -> None:
        """Refuse to resize what does not come level by level."""
        own, others = super().sides(student, teacher)
        if self.resize and len(own) != len(others):
            raise MisfitError(
                f'{self.describe()}: the student puts out {len(own)} tensors and the '
                f'teacher {len(others)}, but resize={self.resize!r} goes level by '
                'level; name modules with as many levels, or leave resize out.'
            )

    def sides(self, student: Taps, teacher: Taps) -> Tuple[List[Tensor], List[Tensor]]:
        """Return the tensors of both; maps of one size, where one side is resized."""
        own, others = super().sides(student, teacher)
        if self.resize == 'student':
            own = list(map(_as_large, own, others))
        elif self.resize == 'teacher':
            others = list(map(_as_large, others, own))
        return own, others

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the tensors that the two modules put out."""
        tensors, others = self.sides(student, teacher)
        return Aligned(tensors, others, [None] * len(tensors))

    def describe(self) -> str:
        """Say which modules are compared, and whose maps are resized."""
        resized = f"; the {self.resize}'s maps resized" if self.resize else ''
        return super().describe() + resized


def _as_large(maps, other):
    """Maps as high and wide as the other's; anything else as it is."""
    if maps.dim() != 4 or other.dim() != 4 or maps.shape[2:] == other.shape[2:]:
        return maps
    return F.interpolate(maps, other.shape[2:], mode='bilinear', align_corners=False)
