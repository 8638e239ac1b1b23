"""Which RoI heads answer about RoIs that are not their own, and what they need for it.

A RoI head is known by its very class: one that inherits may feed its box heads
otherwise. The identity test (:mod:`mmkd.identity`) has been passed by all in
:data:`BESIDE`; nothing else is a reason to be there.
"""

from typing import Callable, Dict, Sequence

from mmdet.models import roi_heads as stock
from torch import Tensor, nn

from mmkd.errors import ConfigError


def nothing(roi_head: nn.Module, feats: Sequence[Tensor]) -> Dict[str, Tensor]:
    """Compute nothing: the box heads see the RoIs' features alone."""
    return {}


def semantics(roi_head: nn.Module, feats: Sequence[Tensor]) -> Dict[str, Tensor]:
    """Compute the semantic features that are added to those of RoIs."""
    if not roi_head.with_semantic:
        return {}
    return dict(semantic_feat=roi_head.semantic_head(feats)[1])


def semantics_and_context(
    roi_head: nn.Module, feats: Sequence[Tensor]
) -> Dict[str, Tensor]:
    """Compute the features of the whole image that are added, too."""
    beside = semantics(roi_head, feats)
    if roi_head.with_glbctx:
        beside.update(glbctx_feat=roi_head.glbctx_head(feats)[1])
    return beside


#: What ``_bbox_forward`` of a RoI head gets beside feature maps and RoIs, computed from
#: the network's own maps. A class of another package whose ``_bbox_forward`` and
#: ``loss`` feed the box heads as its base's do joins it so:
#: ``BESIDE[MyRoIHead] = BESIDE[StandardRoIHead]``.
BESIDE: Dict[type, Callable[[nn.Module, Sequence[Tensor]], Dict[str, Tensor]]] = {
    stock.StandardRoIHead: nothing,
    stock.DoubleHeadRoIHead: nothing,
    stock.DynamicRoIHead: nothing,
    stock.GridRoIHead: nothing,
    stock.MaskScoringRoIHead: nothing,
    stock.MultiInstanceRoIHead: nothing,
    stock.PISARoIHead: nothing,
    stock.PointRendRoIHead: nothing,
    stock.TridentRoIHead: nothing,
    stock.CascadeRoIHead: nothing,
    stock.HybridTaskCascadeRoIHead: semantics,
    stock.SCNetRoIHead: semantics_and_context,
}
#: Why others cannot.
REFUSED: Dict[type, str] = {
    stock.SparseRoIHead: 'it refines proposals of its own from stage to stage, so that '
    'it has no answer about the RoIs of another detector',
}


def check_answers(model: nn.Module, role: str) -> None:
    """Refuse a detector whose RoI head is not known to answer rightly.

    Args:
        model (nn.Module): A two-stage detector.
        role (str): ``'student'`` or ``'teacher'``, for the message.

    Raises:
        ConfigError: It is not.
    """
    kind = type(model.roi_head)
    if kind in BESIDE:
        return
    why = REFUSED.get(
        kind,
        'it is not among those that the identity test knows; where it feeds its box '
        'heads as StandardRoIHead does, say so with BESIDE[CLASS] = '
        f'BESIDE[StandardRoIHead] ({__name__}) and run tools/identity.py',
    )
    raise ConfigError(
        f'the {kind.__name__} of the {role} ({type(model).__name__}) cannot be '
        f'compared: {why}; else compare modules in front of it, such as the neck.'
    )


def answer(
    roi_head: nn.Module, feats: Sequence[Tensor], rois: Dict[int, Tensor]
) -> None:
    """Run the box heads as the training forward of their RoI head does.

    Args:
        roi_head (nn.Module): Of a class in :data:`BESIDE`.
        feats (Sequence[Tensor]): The network's feature maps.
        rois (dict[int, Tensor]): RoIs ``(R, 5)`` by the stage that gets them.
    """
    beside = BESIDE[type(roi_head)](roi_head, feats) if rois else {}
    cascade = isinstance(roi_head.bbox_head, nn.ModuleList)
    for stage, stage_rois in rois.items():
        at = (stage,) if cascade else ()
        roi_head._bbox_forward(*at, feats, stage_rois, **beside)
