"""Running only the parts of a network that a comparison needs."""

from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

from .taps import find_module

#: Part of a model that runs a top-level child; any other dense head runs itself.
PARTS = {
    'backbone': 'trunk',
    'neck': 'trunk',
    'head': 'head',
    'model': 'whole',
    'roi_head': 'roi_head',
    'rpn_head': 'rpn_head',
    'bbox_head': 'bbox_head',
}


def parts_of(paths: Sequence[str], model: nn.Module, role: str) -> List[str]:
    """Name the parts of ``model`` that run the modules at ``paths``, each once.

    Raises:
        ConfigError: There is no such module, or no known part runs it.
    """
    found = {}
    for path in paths:
        find_module(model, path, role)
        top = path.split('.')[0]
        if top not in PARTS:
            raise ConfigError(
                f'the {role} ({type(model).__name__}) cannot be run up to {path!r} '
                f'alone; choose a module inside one of {", ".join(PARTS)}.'
            )
        found[PARTS[top]] = True
    return list(found)


class PartialForward:
    """One input through chosen parts of a network.

    What the parts put out is read through taps, not from here.

    Args:
        model (nn.Module): An mmpretrain classifier or an mmdet detector.
        inputs (Tensor): Preprocessed images ``(N, C, H, W)``.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        self.model = model
        self.inputs = inputs
        self._feats = None

    @property
    def feats(self):
        """Features after backbone and neck, computed on first use."""
        if self._feats is None:
            self._feats = self.model.extract_feat(self.inputs)
        return self._feats

    def run(self, part: str, rois: Optional[Sequence[Optional[Tensor]]] = None) -> None:
        """Run a part, on features that are computed once.

        Args:
            part (str): One of the values of :data:`PARTS`.
            rois (Sequence[Tensor], optional): For ``'roi_head'``: RoIs ``(R, 5)`` of
                each stage, ``(image, x1, y1, x2, y2)`` in pixels of the input; None
                for a stage that did not run.
        """
        if part == 'trunk':
            self.feats  # noqa: B018  computed for the taps in it
        elif part == 'whole':
            self.model(self.inputs, mode='tensor')
        elif part == 'roi_head':
            self._run_roi_head(rois)
        else:
            getattr(self.model, part)(self.feats)

    def _run_roi_head(self, rois):
        roi_head = self.model.roi_head
        cascade = isinstance(roi_head.bbox_head, nn.ModuleList)
        for stage, stage_rois in enumerate(rois):
            if stage_rois is None:
                continue
            if cascade:
                roi_head._bbox_forward(stage, self.feats, stage_rois)
            else:
                roi_head._bbox_forward(self.feats, stage_rois)


def made_up_rois(inputs: Tensor, stages: int) -> list:
    """Make one RoI an image for each stage, for a dry run on ``inputs``."""
    height, width = inputs.shape[-2:]
    box = inputs.new_tensor([[0, 0, width / 2, height / 2]])
    image = torch.arange(len(inputs), dtype=inputs.dtype, device=inputs.device)
    return [torch.cat([image[:, None], box.expand(len(inputs), 4)], dim=1)] * stages
