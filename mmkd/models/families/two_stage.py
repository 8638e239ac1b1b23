"""Two-stage detectors: box heads on regions that the first stage proposes."""

from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import FAMILIES

from ..taps import Taps
from .detection import Detection
from .mask_heads import (
    check_masks,
    mask_inputs_of,
    mask_rois_of,
    of_masks,
    run_mask_heads,
)
from .roi_calls import head_call, stage_paths
from .roi_heads import answer, check_answers
from .run import Run


@FAMILIES.register_module()
class TwoStage(Detection):
    """Faster, Mask, Cascade R-CNN and their like, see :mod:`.roi_heads`.

    A teacher's RoI head runs on the RoIs that the student sampled for its own loss; the
    teacher's RPN does not run.
    """

    on_feats = ('rpn_head',)
    late_parts = ('roi_head',)

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it has a RoI head."""
        return getattr(model, 'roi_head', None) is not None

    def check(self, model: nn.Module, paths: Sequence[str], role: str) -> None:
        """Refuse RoI heads that are not known to answer, or to be asked, rightly."""
        super().check(model, paths, role)
        boxes, masks = self._parts(paths)
        if boxes:
            check_answers(model, role)
        if masks:
            check_masks(model, role)

    def inputs_of(self, model: nn.Module, path: str) -> List[str]:
        """Name the student's RoI extractors, which get the RoIs, and its heads."""
        if of_masks([path]):
            return mask_inputs_of(model)
        if not self.needs_late([path]):
            return []
        return roi_extractors(model) + stage_paths(model, 'bbox_head')

    def late(
        self,
        run: Run,
        paths: Sequence[str],
        student: Taps,
        stage: Optional[int] = None,
    ) -> None:
        """Run the box and mask heads on the student's RoIs.

        Args:
            run (Run): The teacher's.
            paths (Sequence[str]): Modules of the teacher.
            student (Taps): What the student recorded.
            stage (int, optional): The student's stage whose RoIs they are. Defaults to
                the stage in which each module lies.
        """

        def chosen(rois):
            # Of the teacher's stages those run in which the modules lie.
            count = len(roi_extractors(run.model))
            return rois if stage is None else [rois[stage]] * count

        boxes, masks = self._parts(paths)
        if boxes:
            extractors = roi_extractors(student.model)
            for head in stage_paths(student.model, 'bbox_head'):
                head_call(student, head)  # raises where more than one may train
            rois = rois_of(student, extractors, len(run.feats[0]))
            self._answer(run, boxes, chosen(rois))
        if masks:
            run_mask_heads(run, masks, chosen(mask_rois_of(student)))

    def rehearse(self, run: Run, paths: Sequence[str]) -> None:
        """Run the box heads on one RoI an image: the upper left quarter."""
        self.early(run, paths)
        if self.needs_late(paths):
            boxes = torch.cat([s.gt_instances.bboxes for s in run.samples])
            image = torch.arange(len(boxes), dtype=boxes.dtype, device=boxes.device)
            rois = torch.cat([image[:, None], boxes], dim=1)
            stages = len(roi_extractors(run.model))
            of_boxes, masks = self._parts(paths)
            if of_boxes:
                self._answer(run, of_boxes, [rois] * stages)
            if masks:
                run_mask_heads(run, masks, [rois] * stages)

    def _parts(self, paths):
        """Those of some modules that run with the box heads, and with mask heads."""
        masks = of_masks(paths)
        return [p for p in self.needs_late(paths) if p not in masks], masks

    def _answer(self, run, paths, rois: Sequence[Optional[Tensor]]):
        wanted = _stages(self.needs_late(paths))
        asked = {
            stage: stage_rois
            for stage, stage_rois in enumerate(rois)
            if stage_rois is not None and (not wanted or stage in wanted)
        }
        answer(run.model.roi_head, run.feats, asked)


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
    return stage_paths(model, 'bbox_roi_extractor')


def rois_of(
    taps: Taps, extractors: Sequence[str], images: int
) -> List[Optional[Tensor]]:
    """Return the RoIs ``(R, 5)`` that each stage's extractor got.

    They are ``(image, x1, y1, x2, y2)`` in pixels of the input. None stands for a stage
    that did not run: a cascade ends early when no proposal is left.

    Args:
        taps (Taps): What the student recorded.
        extractors (Sequence[str]): See :func:`roi_extractors`.
        images (int): How many the teacher has maps of.

    Raises:
        ConfigError: RoIs lie in other images, so that the teacher has no maps there.
    """
    recorded = [taps[name].calls[:1] for name in extractors]
    for call in [call for calls in recorded for call in calls]:
        _check_images(taps.model, call, images)
    return [calls[0].args[1] if calls else None for calls in recorded]


def _check_images(student, call, images):
    maps, rois = call.args[:2]
    whose = f'the RoIs of the student ({type(student).__name__})'
    if len(maps[0]) != images:
        raise ConfigError(
            f'{whose} are of {len(maps[0])} images where the teacher has maps of '
            f'{images}: one of them makes several of an image, as a TridentNet does in '
            'training; choose a student without branches, or as its teacher a '
            'TridentNet of as many branches and test_branch_idx=-1.'
        )
    # Of a tensor on a GPU, and of a fake one, nothing is read: that would wait.
    at_hand = type(rois) is Tensor and rois.device.type == 'cpu' and len(rois)
    if at_hand and not 0 <= rois[:, 0].min() <= rois[:, 0].max() < images:
        first, last = rois[:, 0].min().item(), rois[:, 0].max().item()
        raise ConfigError(
            f'{whose} are of images {first:.0f} to {last:.0f} in a batch of {images}; '
            'correct the class of its RoI head.'
        )


def _stages(paths):
    """The cascade's stages in which modules lie; none if some lie in all of them."""
    stages = [part for path in paths for part in path.split('.')[2:3]]
    whole = len(stages) < len(paths) or not all(part.isdigit() for part in stages)
    return set() if whole else set(map(int, stages))
