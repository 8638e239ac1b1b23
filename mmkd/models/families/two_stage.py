"""Two-stage detectors: box heads on regions that the first stage proposes."""

from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import FAMILIES

from ..taps import Taps
from .detection import Detection
from .run import Run


@FAMILIES.register_module()
class TwoStage(Detection):
    """Faster, Mask and Cascade R-CNN: a teacher's RoI head runs on the student's RoIs.

    These are the RoIs that the student sampled for its own loss; the teacher's RPN does
    not run.
    """

    on_feats = ('rpn_head',)
    late_parts = ('roi_head',)

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it has a RoI head."""
        return getattr(model, 'roi_head', None) is not None

    def check(self, model: nn.Module, paths: Sequence[str], role: str) -> None:
        """Refuse students that use their box heads in another way, too."""
        super().check(model, paths, role)
        if role == 'teacher' or not self.needs_late(paths):
            return
        roi_head = model.roi_head
        samplers = getattr(roi_head, 'bbox_sampler', None)
        samplers = samplers if isinstance(samplers, list) else [samplers]
        asking = [type(s).__name__ for s in samplers if hasattr(s, 'context')]
        why = f'{asking[0]} asks the box head, without gradient' if asking else ''
        if hasattr(roi_head, 'num_branch'):
            why = 'its RoIs are those of several branches'
        if why:
            raise ConfigError(
                f'the RoI head of the {role} ({type(model).__name__}) cannot be '
                f'compared: {why}; compare modules in front of it, such as the neck.'
            )

    def inputs_of(self, model: nn.Module, path: str) -> List[str]:
        """Name the student's RoI extractors, which get the RoIs."""
        return roi_extractors(model) if self.needs_late([path]) else []

    def late(self, run: Run, paths: Sequence[str], student: Taps) -> None:
        """Run the box heads on the student's RoIs."""
        if self.needs_late(paths):
            rois = rois_of(student, roi_extractors(student.model))
            self._run_roi_head(run, paths, rois)

    def rehearse(self, run: Run, paths: Sequence[str]) -> None:
        """Run the box heads on one RoI an image: the upper left quarter."""
        self.early(run, paths)
        if self.needs_late(paths):
            boxes = torch.cat([s.gt_instances.bboxes for s in run.samples])
            image = torch.arange(len(boxes), dtype=boxes.dtype, device=boxes.device)
            rois = torch.cat([image[:, None], boxes], dim=1)
            stages = len(roi_extractors(run.model))
            self._run_roi_head(run, paths, [rois] * stages)

    def _run_roi_head(self, run, paths, rois: Sequence[Optional[Tensor]]):
        roi_head = run.model.roi_head
        cascade = isinstance(roi_head.bbox_head, nn.ModuleList)
        wanted = _stages(self.needs_late(paths))
        for stage, stage_rois in enumerate(rois):
            if stage_rois is None or cascade and wanted and stage not in wanted:
                continue
            if cascade:
                roi_head._bbox_forward(stage, run.feats, stage_rois)
            else:
                roi_head._bbox_forward(run.feats, stage_rois)


def roi_extractors(model: nn.Module) -> List[str]:
    """Name the modules of a two-stage detector that get the RoIs of each stage.

    Raises:
        ConfigError: It is none.
    """
    extractor = getattr(getattr(model, 'roi_head', None), 'bbox_roi_extractor', None)
    if extractor is None:
        raise ConfigError(
            f'the {type(model).__name__} samples no RoIs, on which alone the RoI head '
            'of a teacher can answer; choose a two-stage student, or compare modules '
            'in front of the RoI head.'
        )
    name = 'roi_head.bbox_roi_extractor'
    if isinstance(extractor, nn.ModuleList):
        return [f'{name}.{stage}' for stage in range(len(extractor))]
    return [name]


def rois_of(taps: Taps, extractors: Sequence[str]) -> List[Optional[Tensor]]:
    """Return the RoIs ``(R, 5)`` that each stage's extractor got.

    They are ``(image, x1, y1, x2, y2)`` in pixels of the input. None stands for a stage
    that did not run: a cascade ends early when no proposal is left.
    """
    calls = (taps[name].calls for name in extractors)
    return [call[0].args[1] if call else None for call in calls]


def _stages(paths):
    """The cascade's stages in which modules lie; none if some lie in all of them."""
    stages = [part for path in paths for part in path.split('.')[2:3]]
    whole = len(stages) < len(paths) or not all(part.isdigit() for part in stages)
    return set() if whole else set(map(int, stages))
