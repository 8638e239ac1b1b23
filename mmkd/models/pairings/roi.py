"""Two-stage detectors: both box heads on the student's sampled RoIs."""

from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..losses.checks import flag, one_of, share
from ..taps import Taps
from .base import Aligned, Pairing, needs_labels

SELECT = ('all', 'fg', 'teacher_conf')


@PAIRINGS.register_module(name=['roi.logits', 'roi.boxes'])
class RoIPairing(Pairing):
    """Box-head outputs of two Faster, Mask or Cascade R-CNNs on the same RoIs.

    The RoIs are the student's own, as sampled for its loss (by default 512 an
    image): the teacher's box head answers about them from the teacher's features.
    Nothing of the student is computed twice and the teacher's RPN does not run.
    Class logits are ``(R, K + 1)``, background last; the target is the RoI's label,
    ``K`` for background.

    Args:
        name (str): ``'roi.logits'``, or ``'roi.boxes'``: the box deltas, of the
            labelled class, of foreground RoIs.
        student (nn.Module): A two-stage detector.
        teacher (nn.Module): Another.
        select (str): ``'all'`` RoIs; ``'fg'``, those with an object; or
            ``'teacher_conf'``, those where the teacher's most likely object class
            has at least the probability ``conf``. Choosing waits for the device.
            Defaults to ``'all'``.
        conf (float): Defaults to 0.5.
        background (bool): Compare the background column too. Defaults to True.
        stages (Sequence[int], optional): Cascade stages. Defaults to all.

    Raises:
        ConfigError: The detectors cannot be compared so.
    """

    rank = 2
    has_labels = of_classes = many_rows = True

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        select: str = 'all',
        conf: float = 0.5,
        background: bool = True,
        stages: Optional[Sequence[int]] = None,
    ) -> None:
        owner = f'on={name!r}'
        one_of(owner, 'select', select, SELECT)
        self.boxes = name == 'roi.boxes'
        self.select = 'fg' if self.boxes else select
        self.conf = share(owner, 'conf', conf)
        self.background = flag(owner, 'background', background)
        heads = dict(
            student=_heads(student, 'student'), teacher=_heads(teacher, 'teacher')
        )
        count, known = len(heads['student']), len(heads['teacher'])
        if known != count:
            raise ConfigError(
                f'the student has {count} box heads and the teacher {known}; the '
                'teacher needs as many as the student.'
            )
        stages = range(count) if stages is None else stages
        listed = isinstance(stages, (list, tuple, range)) and len(stages) > 0
        if not listed or not all(stage in range(count) for stage in stages):
            raise ConfigError(
                f'stages={stages!r} must be a list of some of the {count} box heads of '
                'the student, counted from 0.'
            )
        self.stages = list(stages)
        for role, model in dict(student=student, teacher=teacher).items():
            _check_heads(name, model, heads[role], role)
        if self.boxes:
            _check_boxes(heads, student, teacher)
        self.heads = {
            role: [paths[stage] for stage in self.stages]
            for role, paths in heads.items()
        }
        super().__init__(name, student, teacher, *self.heads.values())
        self.student_inputs = [f'{head}.loss_cls' for head in self.heads['student']]
        self.num_classes = student.get_submodule(heads['student'][0]).num_classes

    def check_labels(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse labels that point at a background column which is left out."""
        if needs_labels(loss) and not self.background and self.select != 'fg':
            raise ConfigError(
                f'{name}: {type(loss).__name__} needs the label of every RoI, but '
                "background=False leaves one out; add select='fg'."
            )

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return class logits, or box deltas, of each stage.

        A cascade ends early when no proposal is left; what a stage that did not run
        would have put out is empty.
        """
        return [self._columns(tensor) for tensor in self._outputs(taps, role)]

    def _outputs(self, taps, role):
        tensors = []
        for stage, name in zip(self.stages, self.heads[role]):
            if stage == 0 or taps[name].calls:
                taps[name].outputs()  # raises where recording went wrong
                tensors.append(taps[name].calls[0].output[1 if self.boxes else 0])
            else:
                head = taps[name].module
                layer = head.fc_reg if self.boxes else head.fc_cls
                tensors.append(layer.weight.new_zeros(0, len(layer.weight)))
        return tensors

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return logits ``(R, K + 1)`` or deltas ``(F, 4)`` of each stage."""
        sides = self._outputs(student, 'student'), self._outputs(teacher, 'teacher')
        rows = map(self._select, *sides, self._labels(student, sides[0][0]))
        return Aligned(*(list(column) for column in zip(*rows)))

    def _labels(self, taps, tensor):
        """Labels ``(R,)`` of each stage."""
        for head in self.heads['student']:
            calls = taps[f'{head}.loss_cls'].calls
            # The loss of a stage without any RoI is not called.
            none = tensor.new_zeros(0, dtype=torch.long)
            yield calls[0].args[1] if calls else none

    def _select(self, student, teacher, labels):
        keep = self._keep(teacher, labels)
        if keep is not None:
            student, teacher, labels = student[keep], teacher[keep], labels[keep]
        if self.boxes:
            return _of_class(student, labels), _of_class(teacher, labels), None
        return self._columns(student), self._columns(teacher), labels

    def _columns(self, outputs):
        """What is compared of them: the background's column is the last."""
        if self.boxes or self.background:
            return outputs
        return outputs[:, : self.num_classes]

    def _keep(self, teacher, labels):
        """Say which RoIs count; None for all."""
        if self.select == 'fg':
            return labels < self.num_classes
        if self.select == 'teacher_conf':
            objects = teacher.softmax(dim=1)[:, : self.num_classes]
            return objects.amax(dim=1) >= self.conf
        return None


def _heads(model, role):
    roi_head = getattr(model, 'roi_head', None)
    if roi_head is None or getattr(roi_head, 'bbox_head', None) is None:
        raise ConfigError(
            f'on=roi.* needs a two-stage detector, but the {role} '
            f'({type(model).__name__}) has no box head; for a classifier use '
            "on='logits'."
        )
    name = 'roi_head.bbox_head'
    if isinstance(roi_head.bbox_head, nn.ModuleList):
        return [f'{name}.{stage}' for stage in range(len(roi_head.bbox_head))]
    return [name]


def _check_heads(name, model, paths, role):
    for path in paths:
        head = model.get_submodule(path)
        if getattr(head, 'custom_cls_channels', False):
            raise ConfigError(
                f'on={name!r}: the {type(head.loss_cls).__name__} of the {role} gives '
                'its class scores columns of its own, which are no classes and '
                'background; compare features, or train with another loss_cls.'
            )
        if name == 'roi.boxes' and not isinstance(
            getattr(head, 'fc_reg', None), nn.Linear
        ):
            raise ConfigError(
                f'on={name!r}: the {type(head).__name__} of the {role} predicts no box '
                "deltas by one linear layer; choose on='roi.logits'."
            )


def _check_boxes(paths, student, teacher):
    for pair in zip(*paths.values()):
        heads = student.get_submodule(pair[0]), teacher.get_submodule(pair[1])
        if len({head.reg_class_agnostic for head in heads}) > 1:
            raise ConfigError(
                "on='roi.boxes': reg_class_agnostic of the two box heads differs, so "
                'their deltas are of different boxes.'
            )
        if len({_units(head.bbox_coder) for head in heads}) > 1:
            raise ConfigError(
                "on='roi.boxes': the bbox_coder of the two box heads has other means "
                'or stds, so their deltas are in different units.'
            )


def _units(coder):
    return (
        type(coder),
        tuple(getattr(coder, 'means', ())),
        tuple(getattr(coder, 'stds', ())),
    )


def _of_class(deltas, labels):
    """Deltas ``(F, 4)`` of each RoI's own class, or those of the agnostic head."""
    if deltas.size(1) == 4:
        return deltas
    chosen = deltas.unflatten(1, (-1, 4))
    return chosen[torch.arange(len(labels), device=labels.device), labels]
