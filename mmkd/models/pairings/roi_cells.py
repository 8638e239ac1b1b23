"""Two-stage detectors: the box heads on cells of the same RoIs."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..families.two_stage import roi_extractors
from ..losses.numerics import promoted
from ..taps import Taps
from .base import Aligned
from .cells import check_scales
from .roi import RoIPairing


@PAIRINGS.register_module(name='roi.cells')
class RoICellsPairing(RoIPairing):
    """Class logits of the cells of each RoI, by both box heads (mmkd).

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

    rank = 3

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
        return [
            self._of_cells(taps, role, stage, logits)
            for stage, logits in enumerate(self._outputs(taps, role))
        ]

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the logits ``(R, K + 1, M)`` of the selected RoIs and their labels."""
        sides = dict(student=student, teacher=teacher)
        whole = {role: self._outputs(taps, role) for role, taps in sides.items()}
        aligned = Aligned([], [], [])
        for stage, labels in enumerate(self._labels(student, whole['student'][0])):
            # Chosen first: a cell costs what a RoI does.
            keep = self._keep(whole['teacher'][stage], labels)
            keep = slice(None) if keep is None else keep
            for role, taps in sides.items():
                logits = whole[role][stage]
                cells = self._of_cells(taps, role, stage, logits, keep)
                getattr(aligned, role).append(cells)
            aligned.targets.append(labels[keep])
        return aligned

    def _of_cells(self, taps, role, stage, logits, keep=slice(None)):
        """Logits of the whole RoIs, which are known, and of their cells."""
        extractor = taps[self.extractors[role][stage]]
        head = taps[self.heads[role][stage]].module
        every = [logits[keep][:, :, None]]
        if extractor.calls:
            maps = promoted(extractor.outputs()[0][keep])
            for scale in self.scales[1:]:
                cells = head(_cut(maps, scale))[0]
                every.append(cells.unflatten(0, (len(maps), scale**2)).transpose(1, 2))
        else:  # a stage that did not run
            count = sum(scale**2 for scale in self.scales)
            every = [logits[:, :, None].expand(-1, -1, count)]
        return self._columns(torch.cat(every, dim=2))


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
