"""Two-stage detectors: the box heads on cells of the same RoIs."""

import inspect
from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..families.roi_calls import stage_paths
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
        for side, (role, model) in enumerate(
            dict(student=student, teacher=teacher).items()
        ):
            _check_heads(name, model, self.heads[role], role)
            named = stage_paths(model, 'bbox_roi_extractor')
            self.extractors[role] = [named[pair[side]] for pair in self.stages]
        self.student_outputs += dict.fromkeys(self.extractors['student'])
        self.teacher_outputs += dict.fromkeys(self.extractors['teacher'])

    def check(self, student: Taps, teacher: Taps) -> None:
        """See that each box head is put to what its RoI extractor gives.

        Raises:
            ConfigError: It is not.
        """
        super().check(student, teacher)
        for role, taps in dict(student=student, teacher=teacher).items():
            for stage, logits in enumerate(self._outputs(taps, role)):
                head, maps = self._head_and_maps(taps, role, stage)
                again = head(promoted(maps))[0]
                # A teacher may answer in half precision, which is off by a percent.
                apart = 1e-3 if logits.dtype == again.dtype else 5e-2
                if (again - logits).abs().max() > apart * logits.abs().max() + 1e-6:
                    raise ConfigError(
                        f'on={self.name!r}: the RoI head of the {role} adds something '
                        'to the maps of its RoIs (a semantic or global context) that '
                        "cells of them would lack; choose on='roi.logits'."
                    )

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
        for stage, labels in enumerate(self._labels(student, whole['student'])):
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
        head, maps = self._head_and_maps(taps, role, stage)
        every = [logits[keep][:, :, None]]
        if maps is not None:
            maps = promoted(maps[keep])
            for scale in self.scales[1:]:
                cells = head(_cut(maps, scale))[0]
                every.append(cells.unflatten(0, (len(maps), scale**2)).transpose(1, 2))
        else:  # a stage that did not run
            count = sum(scale**2 for scale in self.scales)
            every = [logits[:, :, None].expand(-1, -1, count)]
        return self._columns(torch.cat(every, dim=2))

    def _head_and_maps(self, taps, role, stage):
        """A box head, and the maps ``(R, C, H, W)`` of its RoIs; None if none ran."""
        extractor, head = self.extractors[role][stage], self.heads[role][stage]
        about = () if role == 'student' else self._about[stage]
        if not taps[extractor].calls_about(about):
            return taps[head].module, None
        return taps[head].module, taps[extractor].outputs(about)[0]


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
        head = model.get_submodule(path)
        needed = inspect.signature(head.forward).parameters.values()
        if sum(argument.default is argument.empty for argument in needed) != 1:
            raise ConfigError(
                f'on={name!r}: the {type(head).__name__} of the {role} takes other '
                "than one map of each RoI; choose on='roi.logits'."
            )
        norms = [m for m in head.modules() if _is_batch_norm(m)]
        if norms:
            raise ConfigError(
                f'on={name!r}: the box head of the {role} has batch norms, whose '
                "statistics cells would change; choose on='roi.logits', or a head "
                'with other norms.'
            )


def _is_batch_norm(module):
    return isinstance(module, nn.modules.batchnorm._BatchNorm)
