"""What a student's own losses train on, read from the calls of these losses."""

from typing import Callable, List, NamedTuple, Optional

import torch
from torch import Tensor, nn

from mmkd.models.families.roi_calls import stage_paths
from mmkd.models.pairings.base import Pairing
from mmkd.models.pairings.modules import ModulePairing
from mmkd.models.taps import Taps

#: Last names of the modules that compute losses.
LOSSES = 'loss_cls', 'loss_bbox', 'loss_mask', 'loss_module'


class Trained(NamedTuple):
    """What is to be compared at one level, as the student's loss got it."""

    #: Rows, and their labels where the loss has some; None where it trains on nothing.
    rows: Optional[Tensor]
    targets: Optional[Tensor] = None
    #: What the student's module put out, of which these rows are a part.
    source: Optional[Tensor] = None
    #: Makes of compared rows what the loss got.
    as_loss: Callable[[Tensor], Tensor] = lambda rows: rows
    #: Maps, a row of each compared one, that all columns of a third dimension show.
    maps: Optional[Tensor] = None


def record(student: nn.Module, pairings: List[Pairing]) -> Taps:
    """Return taps of all that :func:`trained_on` reads, to be opened around a step."""
    losses = [
        path for path, _ in student.named_modules() if path.rpartition('.')[2] in LOSSES
    ]
    outputs = [path for pairing in pairings for path in pairing.student_outputs]
    extractors = []
    if getattr(student, 'roi_head', None) is not None:
        extractors = stage_paths(student, 'bbox_roi_extractor')
        outputs += extractors
    return Taps(student, outputs + losses, 'student', losses + extractors)


def trained_on(pairing: Pairing, taps: Taps) -> Optional[List[Trained]]:
    """Return what all levels of a pairing are to be; None where that is unknown.

    Args:
        pairing (Pairing): One that keeps all rows.
        taps (Taps): From :func:`record`, after a step.
    """
    if isinstance(pairing, ModulePairing):
        paths = pairing.student_outputs
        every = [tensor for path in paths for tensor in taps[path].outputs()]
        return [Trained(tensor, None, tensor) for tensor in every]
    if pairing.name in ('logits', 'cells.logits'):
        return [_of_images(pairing, taps)]
    stages = _BY_NAME.get(pairing.name)
    if stages is None:
        return None
    part, read = stages
    heads = stage_paths(taps.model, part)
    extractors = stage_paths(taps.model, 'bbox_roi_extractor')
    return [read(taps, *paths) for paths in zip(heads, extractors)]


def _of_images(pairing, taps):
    source = taps[pairing.student_outputs[-1]].outputs()[0]
    maps = taps['backbone'].outputs()[-1] if pairing.name == 'cells.logits' else None
    calls = _calls(taps, 'head.loss_module')
    rows, targets = calls[0][:2] if calls else (source, None)
    return Trained(rows, targets, source, maps=maps)


def _logits(taps, head, extractor):
    calls = _calls(taps, f'{head}.loss_cls')
    if not calls:
        return Trained(None)
    rows, labels = (torch.cat(parts) for parts in list(zip(*calls))[:2])
    maps = taps[extractor].calls[0].output
    return Trained(rows, labels, taps[head].outputs()[0], maps=maps)


def _boxes(taps, head, extractor):
    calls = _calls(taps, f'{head}.loss_bbox')
    if not calls:
        return Trained(None)
    module, labels = taps[head].module, _logits(taps, head, extractor).targets
    rois = taps[extractor].calls[0].args[1][labels < module.num_classes, 1:]

    def decoded(deltas):
        if not module.reg_decoded_bbox or len(deltas) != len(rois):
            return deltas
        return module.bbox_coder.decode(rois, deltas)

    rows = torch.cat([call[0] for call in calls])
    return Trained(rows, None, taps[head].outputs()[1], decoded)


def _masks(taps, head, _):
    calls = _calls(taps, f'{head}.loss_mask')
    if not calls:
        return Trained(None)
    masks, targets, labels = (torch.cat(parts) for parts in list(zip(*calls))[:3])
    logits = masks[torch.arange(len(masks)), labels].flatten()
    rows = torch.stack([logits, torch.zeros_like(logits)], dim=1)
    return Trained(rows, (targets.flatten() < 0.5).long(), taps[head].outputs()[0])


#: What a RoI head's pairings compare: of which heads, and how that is read.
_BY_NAME = {
    'roi.logits': ('bbox_head', _logits),
    'roi.cells': ('bbox_head', _logits),
    'roi.boxes': ('bbox_head', _boxes),
    'roi.masks': ('mask_head', _masks),
}


def _calls(taps, loss):
    """Arguments of the calls that train; a sampler may ask without gradient.

    Of calls about the same rows, as PISA makes for a loss beside, there is the first.
    """
    try:
        calls = taps[loss].calls
    except KeyError:  # no module, as some heads have none
        return []
    kept = []
    for call in calls:
        known = any(torch.equal(call.args[0], other[0]) for other in kept)
        if call.args[0].requires_grad and not known:
            kept.append(call.args)
    return kept
