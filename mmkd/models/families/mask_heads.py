"""Two-stage detectors: mask heads on the RoIs of the student's objects."""

from typing import List, Optional, Sequence

from torch import Tensor, nn

from mmkd.errors import ConfigError

from ..taps import Taps
from .roi_calls import head_call, labels_of, stage_paths
from .run import Run

PARTS = ('roi_head.mask_head.', 'roi_head.mask_roi_extractor.')


def of_masks(paths: Sequence[str]) -> List[str]:
    """Return those of some modules that run with the mask head."""
    return [path for path in paths if f'{path}.'.startswith(PARTS)]


def check_masks(model: nn.Module, role: str) -> None:
    """Refuse RoI heads whose mask head does not answer about RoIs alone.

    Raises:
        ConfigError: It does not, or there is none.
    """
    # Not before a detector is there: it takes seconds, and more than mmcv-lite has.
    from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead

    known = StandardRoIHead._mask_forward, CascadeRoIHead._mask_forward
    roi_head = getattr(model, 'roi_head', None)
    kind = type(roi_head)
    if not getattr(roi_head, 'with_mask', False):
        why = f'the {role} ({type(model).__name__}) has no mask head'
    elif getattr(kind, '_mask_forward', None) not in known:
        why = f'the {kind.__name__} of the {role} runs its mask head in its own way'
    else:
        return
    raise ConfigError(
        f'masks of RoIs cannot be compared: {why}; choose a Mask or Cascade Mask R-CNN,'
        " on='roi.logits', or the neck."
    )


def mask_inputs_of(model: nn.Module) -> List[str]:
    """Name the student's modules whose calls say on which RoIs its mask heads ran.

    Raises:
        ConfigError: It has no mask heads, or runs them in its own way.
    """
    check_masks(model, 'student')
    named = stage_paths(model, 'mask_roi_extractor') + stage_paths(model, 'mask_head')
    if model.roi_head.share_roi_extractor:
        heads = stage_paths(model, 'bbox_head')
        named += heads + [f'{head}.loss_cls' for head in heads]
    return named


def mask_rois_of(taps: Taps) -> List[Optional[Tensor]]:
    """Return the RoIs ``(P, 5)`` of each stage that have an object.

    None stands for a stage that did not run.

    Raises:
        ConfigError: It has no mask heads.
    """
    check_masks(taps.model, 'student')
    parts = ('mask_roi_extractor', 'mask_head', 'bbox_head')
    named = zip(*(stage_paths(taps.model, part) for part in parts))
    return [_rois_of_stage(taps, *names) for names in named]


def _rois_of_stage(taps, extractor, mask_head, box_head):
    masks = head_call(taps, mask_head)
    if masks is None:
        return None
    rois = taps[extractor].calls[-1].args[1]
    if len(rois) == len(masks.output):
        return rois
    # What the box head's extractor gave was used again: of RoIs with objects.
    num_classes = taps.model.get_submodule(box_head).num_classes
    return rois[labels_of(taps, box_head) < num_classes]


def run_mask_heads(
    run: Run, paths: Sequence[str], rois: Sequence[Optional[Tensor]]
) -> None:
    """Run the stages of the mask head in which modules lie on RoIs of each."""
    roi_head = run.model.roi_head
    cascade = isinstance(roi_head.mask_head, nn.ModuleList)
    wanted = {stage for path in paths for stage in path.split('.')[2:3]}
    for stage, stage_rois in enumerate(rois):
        if stage_rois is None:
            continue
        if not cascade:
            roi_head._mask_forward(run.feats, stage_rois)
        elif str(stage) in wanted or not wanted:
            roi_head._mask_forward(stage, run.feats, stage_rois)
