"""Which RoI heads answer about RoIs that are not their own, and what they need for it.

A RoI head is known by its very class: one that inherits may feed its box heads
otherwise. All in :data:`BESIDE` have passed the identity test (:mod:`mmkd.identity`);
nothing else is a reason to be there.
"""

from typing import Callable, Dict, Sequence

from torch import Tensor, nn

from mmkd.configs import type_of
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
#: the network's own maps; by package and name of the class. One of another package
#: whose ``_bbox_forward`` and ``loss`` feed the box heads as its base's do joins it so:
#: ``BESIDE['package.MyRoIHead'] = BESIDE['mmdet.StandardRoIHead']``.
BESIDE: Dict[str, Callable[[nn.Module, Sequence[Tensor]], Dict[str, Tensor]]] = {
    'mmdet.StandardRoIHead': nothing,
    'mmdet.DoubleHeadRoIHead': nothing,
    'mmdet.DynamicRoIHead': nothing,
    'mmdet.GridRoIHead': nothing,
    'mmdet.MaskScoringRoIHead': nothing,
    'mmdet.MultiInstanceRoIHead': nothing,
    'mmdet.PISARoIHead': nothing,
    'mmdet.PointRendRoIHead': nothing,
    'mmdet.TridentRoIHead': nothing,
    'mmdet.CascadeRoIHead': nothing,
    'mmdet.HybridTaskCascadeRoIHead': semantics,
    'mmdet.SCNetRoIHead': semantics_and_context,
}
#: Why others cannot.
REFUSED: Dict[str, str] = {
    'mmdet.SparseRoIHead': 'it refines proposals of its own from stage to stage, so '
    'that it has no answer about the RoIs of another detector',
}


def check_answers(model: nn.Module, role: str) -> None:
    """Refuse a detector whose RoI head is not known to answer rightly.

    Args:
        model (nn.Module): A two-stage detector.
        role (str): ``'student'`` or ``'teacher'``, for the message.

    Raises:
        ConfigError: It is not.
    """
    kind = _kind(model.roi_head)
    if kind in BESIDE:
        return
    why = REFUSED.get(
        kind,
        'how it feeds its box heads is unknown; where it does so as StandardRoIHead, '
        f"say it with {__name__}.BESIDE[{kind!r}] = BESIDE['mmdet.StandardRoIHead'], "
        'and test it with tools/identity.py',
    )
    raise ConfigError(
        f'the {kind} of the {role} ({type(model).__name__}) cannot be '
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
    beside = BESIDE[_kind(roi_head)](roi_head, feats) if rois else {}
    cascade = isinstance(roi_head.bbox_head, nn.ModuleList)
    for stage, stage_rois in rois.items():
        at = (stage,) if cascade else ()
        roi_head._bbox_forward(*at, feats, stage_rois, **beside)


def _kind(roi_head):
    return type_of(dict(type=type(roi_head)))
