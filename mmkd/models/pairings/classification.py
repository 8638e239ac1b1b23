"""Classifiers: the logits of the same images."""

import inspect
from typing import List, Optional, Sequence

import torch
from mmpretrain.models import MultiTaskHead
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..available import UnsuitedError
from ..taps import Taps
from .base import Aligned, Pairing
from .single_label import check_single_label


@PAIRINGS.register_module(name='logits')
class ClassificationPairing(Pairing):
    """Logits of two mmpretrain classifiers, with the images' labels.

    The target is the hard label ``(N,)``, or under Mixup and CutMix the mixed one
    ``(N, K)``.

    Args:
        name (str): ``'logits'``.
        student (nn.Module): An mmpretrain classifier.
        teacher (nn.Module): Another.
        modules (Sequence[str], optional): Student modules, say stages, that are
            compared with the teacher's logits, each through an adapter of its own
            that ends in logits. Defaults to the student's logits.

    Raises:
        ConfigError: One of them has no classification head.
    """

    rank = 2
    has_labels = of_classes = True

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        modules: Optional[Sequence[str]] = None,
    ) -> None:
        for role, model in dict(student=student, teacher=teacher).items():
            _check_predictions(name, model, role)
        if modules is None:
            modules = [_logits_module(name, student, 'student')]
        logits = _logits_module(name, teacher, 'teacher')
        super().__init__(name, student, teacher, modules, [logits])
        mixes = getattr(student.data_preprocessor, 'batch_augments', None)
        self.mixes = mixes is not None

    def check_labels(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse hard-label losses under Mixup and CutMix, unless they say how."""
        if self.mixes and 'labels' in loss.needs:
            raise ConfigError(
                f'{name}: {type(loss).__name__} needs one label an image, but the '
                "student's batch_augments (Mixup, CutMix) mix them; take them out, set "
                "soft_targets='argmax' where the loss offers it, or use a loss without "
                'labels (KDLoss, LumiNetLoss).'
            )

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return the logits ``(N, K)``, or what each of ``modules`` put out."""
        tensors = super().tensors(taps, role)
        # The teacher answers once, to each of the student's modules.
        return tensors * len(self.student_outputs) if role == 'teacher' else tensors

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the logits ``(N, K)`` of both and the labels."""
        logits = self.tensors(student, 'student')
        targets = [self._target(data_samples)] * len(logits)
        return Aligned(logits, self.tensors(teacher, 'teacher'), targets)

    def _target(self, data_samples) -> Tensor:
        if self.mixes and 'gt_score' in data_samples[0]:
            return torch.stack([sample.gt_score for sample in data_samples])
        labels: List[Tensor] = [sample.gt_label for sample in data_samples]
        counts = {label.numel() for label in labels}
        if counts != {1}:
            raise ConfigError(
                "on='logits' compares single-label classifiers, but there are images "
                f'with {", ".join(map(str, sorted(counts - {1})))} labels.'
            )
        return torch.cat(labels)


def _check_predictions(name, model, role):
    head = getattr(model, 'head', None)
    if isinstance(head, MultiTaskHead):
        heads = ', '.join(f"'head.task_heads.{task}'" for task in head.task_heads)
        raise ConfigError(
            f'on={name!r}: the MultiTaskHead of the {role} predicts several things; '
            f'compare modules instead, of {heads}, with a loss that needs no labels.'
        )
    check_single_label(f'on={name!r}', model, ['head'], role)


def _logits_module(name, model, role):
    head = getattr(model, 'head', None)
    if head is not None and 'target' in inspect.signature(head.forward).parameters:
        raise ConfigError(
            f'on={name!r}: the {type(head).__name__} of the {role} changes the logit '
            'of the label while it trains, so that its logits are not what those of '
            "another network are; compare features, such as 'neck'."
        )
    if head is not None:
        return 'head'
    if hasattr(model, 'model') and not hasattr(model, 'backbone'):
        # mmpretrain's wrappers of timm and Hugging Face: logits come out whole.
        return 'model'
    raise UnsuitedError(
        f'on={name!r} needs a classifier, but the {role} ({type(model).__name__}) has '
        'no classification head'
    )
