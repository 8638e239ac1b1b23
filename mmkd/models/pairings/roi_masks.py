"""Two-stage detectors: both mask heads on the student's RoIs with an object."""

from typing import List, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError, MisfitError
from mmkd.registry import PAIRINGS

from ..families.mask_heads import check_masks
from ..families.roi_calls import loss_call
from ..taps import Taps
from .base import Aligned
from .roi_stages import Stages, StagesPairing, nothing_of


@PAIRINGS.register_module(name='roi.masks')
class RoIMasksPairing(StagesPairing):
    """Mask-head outputs of two Mask or Cascade Mask R-CNNs on the same RoIs (mmkd).

    The RoIs are those of the student's positive samples. A row is a pixel of the mask
    of a RoI's labelled class: its logit and 0, whose softmax is the logit's sigmoid.
    Rows are ``(P * H * W, 2)``, RoI by RoI, and row by row in it; the target is 0 where
    the mask target is foreground and 1 where it is not. So :class:`.KDLoss` is binary
    cross-entropy less the teacher's entropy, and any loss of rows can be taken. There
    are some hundred times as many as RoIs: a loss that compares each row with each is
    refused.

    Args:
        name (str): ``'roi.masks'``.
        student (nn.Module): A detector with FCN mask heads.
        teacher (nn.Module): Another, whose masks have the same size.
        stages (Sequence[int] | dict, optional): Cascade stages, see
            :class:`StagesPairing`. Defaults to all.

    Raises:
        ConfigError: The detectors cannot be compared so.
    """

    of_pixels = True

    def __init__(
        self, name: str, student: nn.Module, teacher: nn.Module, stages: Stages = None
    ) -> None:
        super().__init__(name, student, teacher, 'mask_head', stages)
        agnostic = {}
        for role, model in dict(student=student, teacher=teacher).items():
            check_masks(model, role)
            heads = [model.get_submodule(path) for path in self.heads[role]]
            agnostic[role] = [_is_agnostic(name, head, role) for head in heads]
        if any(s and not t for s, t in zip(*agnostic.values())):
            raise ConfigError(
                f'on={name!r}: the masks of the student are class-agnostic and those '
                'of the teacher are not, so that which of these to learn is unknown; '
                'choose class_agnostic alike.'
            )
        #: Of each pair, whether the teacher gives one mask for all classes.
        self._agnostic = agnostic['teacher']
        self.student_inputs = [f'{path}.loss_mask' for path in self.heads['student']]

    def check(self, student: Taps, teacher: Taps) -> None:
        """See that the masks are of one size, and of the same classes.

        Raises:
            ConfigError: They are not.
        """
        sides = self._masks(student, 'student'), self._masks(teacher, 'teacher')
        for agnostic, *pair in zip(self._agnostic, *sides):
            shapes = [tuple(masks.shape[2 if agnostic else 1 :]) for masks in pair]
            if shapes[0] != shapes[1]:
                raise MisfitError(
                    f'on={self.name!r}: the masks of the student are {shapes[0]} and '
                    f'those of the teacher {shapes[1]} (classes, height, width); '
                    'choose mask heads of the same classes behind RoI extractors of '
                    'one size.'
                )

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return rows of the first class: any other's have these shapes too."""
        return [_rows(masks[:, 0]) for masks in self._masks(taps, role)]

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return rows ``(P * H * W, 2)`` of each stage, and their targets."""
        aligned = Aligned([], [], [])
        sides = self._masks(student, 'student'), self._masks(teacher, 'teacher')
        for path, agnostic, masks, known in zip(
            self.heads['student'], self._agnostic, *sides
        ):
            called = loss_call(student, f'{path}.loss_mask', masks)
            labels = targets = masks.new_zeros(0, dtype=torch.long)
            if called is not None:
                _, targets, labels, *_ = called
            aligned.student.append(_rows(_of_class(masks, labels)))
            labels = torch.zeros_like(labels) if agnostic else labels
            aligned.teacher.append(_rows(_of_class(known, labels)))
            aligned.targets.append((targets.flatten() < 0.5).long())
        return aligned

    def _masks(self, taps, role):
        """Masks ``(P, K or 1, H, W)`` of each stage."""
        calls = self.calls(taps, role)
        # A stage that did not run has no size, and needs none.
        return [
            nothing_of(taps, head, 1, 0, 0) if call is None else call.output
            for head, call in zip(self.heads[role], calls)
        ]


def _rows(masks):
    """Logits ``(P * H * W, 2)`` of masks ``(P, H, W)``."""
    logits = masks.flatten()
    return torch.stack([logits, torch.zeros_like(logits)], dim=1)


def _of_class(masks, labels):
    """Masks ``(P, H, W)`` of the class of each RoI, which is 0 if agnostic."""
    return masks[torch.arange(len(labels), device=labels.device), labels]


def _is_agnostic(name, head, role):
    if not getattr(getattr(head, 'loss_mask', None), 'use_mask', False):
        raise ConfigError(
            f'on={name!r} compares yes or no to each pixel, for which the '
            f'{type(head).__name__} of the {role} is not trained (no loss_mask with '
            "use_mask=True); choose on='roi.logits', or the neck."
        )
    return getattr(head, 'class_agnostic', False)
