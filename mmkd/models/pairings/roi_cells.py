"""Two-stage detectors: the box heads on cells of the same RoIs."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.errors import ConfigError

from ..losses.base import promoted
from ..taps import Taps
from .base import Aligned
from .cells import check_scales
from .roi import RoIPairing, roi_extractors


class RoICellsPairing(RoIPairing):
    """Class logits of the cells of each RoI, by both box heads; ours.

    SDD is published for classifiers. Here each RoI's map is cut into grids, each cell
    is resized to the size of a RoI's map (bilinear) and put to the network's own box
    head. Logits are ``(R, K + 1, M)``: first the whole RoI, then the cells of the next
    grid row by row; the target is the RoI's label.

    A grid of 2 makes five times the box head's work for each RoI that is compared:
    ``select='fg'`` keeps it to those with an object.

    Args:
        name (str): ``'roi.cells'``.
        student (nn.Module): A two-stage detector.
        teacher (nn.Module): Another.
        scales (Sequence[int]): Cells along a side of each grid, ascending from 1.
            Defaults to (1, 2).
        **options: Of :class:`RoIPairing`.

    Raises:
        ConfigError: The detectors cannot be compared so.
    """

    names = ('roi.cells',)

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        scales: Sequence[int] = (1, 2),
        **options,
    ) -> None:
        super().__init__(name, student, teacher, **options)
        self.scales = check_scales(name, scales)
        self.extractors = {}
        for role, model in dict(student=student, teacher=teacher).items():
            _check_heads(name, model, self.heads[role], role)
            named = roi_extractors(model)
            self.extractors[role] = [named[stage] for stage in self.stages]
        self.student_outputs = self.heads['student'] + self.extractors['student']
        self.teacher_outputs = self.heads['teacher'] + self.extractors['teacher']

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return the logits ``(R, K + 1, M)`` of all RoIs of each stage that ran."""
        logits = super().tensors(taps, role)
        return [
            self._of_cells(taps, role, stage, said) for stage, said in enumerate(logits)
        ]

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the logits ``(R, K + 1, M)`` of the selected RoIs and their labels."""
        ours = super().tensors(student, 'student')
        theirs = super().tensors(teacher, 'teacher')
        aligned = Aligned([], [], [])
        for stage, labels in zip(range(len(ours)), self._labels(student)):
            # Chosen first: a cell costs what a RoI does.
            keep = None if labels is None else self._keep(theirs[stage], labels)
            keep = slice(None) if keep is None else keep
            aligned.student.append(
                self._of_cells(student, 'student', stage, ours[stage], keep)
            )
            aligned.teacher.append(
                self._of_cells(teacher, 'teacher', stage, theirs[stage], keep)
            )
            aligned.targets.append(labels if labels is None else labels[keep])
        return aligned

    def _of_cells(self, taps, role, stage, logits, keep=slice(None)):
        """Logits of the whole RoIs, which are known, and of their cells."""
        extractor = taps[self.extractors[role][stage]]
        head = taps[self.heads[role][stage]].module
        maps = promoted(extractor.outputs()[0][keep])
        said = [logits[keep][:, :, None]]
        for scale in self.scales[1:]:
            cells = head(_cut(maps, scale))[0]
            said.append(cells.unflatten(0, (len(maps), scale**2)).transpose(1, 2))
        said = torch.cat(said, dim=2)
        return said if self.background else said[:, : self.num_classes]


def _cut(maps, scale):
    """Cells ``(R * m * m, C, H, W)`` of maps ``(R, C, H, W)``, each as large as one."""
    enlarged = F.interpolate(maps, scale_factor=scale, mode='bilinear')
    height, width = maps.shape[2:]
    cells = enlarged.unflatten(3, (scale, width)).unflatten(2, (scale, height))
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def _check_heads(name, model, heads, role):
    if getattr(model.roi_head, 'with_shared_head', False):
        raise ConfigError(
            f'on={name!r}: the {role} has a shared head between RoIs and box head, '
            "which cells do not pass; choose on='roi.logits'."
        )
    for path in heads:
        norms = [m for m in model.get_submodule(path).modules() if _is_batch_norm(m)]
        if norms:
            raise ConfigError(
                f'on={name!r}: the box head of the {role} has batch norms, whose '
                "statistics cells would change; choose on='roi.logits', or a head "
                'with other norms.'
            )


def _is_batch_norm(module):
    return isinstance(module, nn.modules.batchnorm._BatchNorm)
