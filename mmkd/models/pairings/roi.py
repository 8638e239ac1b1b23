"""Two-stage detectors: both box heads on the student's sampled RoIs."""

from typing import List, Sequence

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..families.roi_calls import labels_of
from ..losses.checks import flag, one_of, share
from ..taps import Taps
from .base import Aligned, needs_labels
from .roi_checks import check_boxes, check_columns, check_logits
from .roi_stages import Stages, StagesPairing, nothing_of

SELECT = ('all', 'fg', 'teacher_conf')


@PAIRINGS.register_module(name=['roi.logits', 'roi.boxes'])
class RoIPairing(StagesPairing):
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
        stages (Sequence[int] | dict, optional): Cascade stages of both, or
            ``dict(student=[0], teacher=[2])``, see :class:`StagesPairing`: labels are
            always the student's. Defaults to all.

    Raises:
        ConfigError: The detectors cannot be compared so.
    """

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        select: str = 'all',
        conf: float = 0.5,
        background: bool = True,
        stages: Stages = None,
    ) -> None:
        owner = f'on={name!r}'
        one_of(owner, 'select', select, SELECT)
        self.boxes = name == 'roi.boxes'
        self.has_labels = not self.boxes
        self.select = 'fg' if self.boxes else select
        self.conf = share(owner, 'conf', conf)
        self.background = flag(owner, 'background', background)
        super().__init__(name, student, teacher, 'bbox_head', stages)
        models = dict(student=student, teacher=teacher)
        if self.boxes:
            check_boxes(name, models, self.heads)
        else:
            for role, model in models.items():
                check_logits(name, model, self.heads[role], role)
        self.student_inputs = [f'{head}.loss_cls' for head in self.heads['student']]
        self.num_classes = student.get_submodule(self.heads['student'][0]).num_classes

    def check(self, student: Taps, teacher: Taps) -> None:
        """See that class scores are of classes and background.

        Raises:
            ConfigError: They are not.
        """
        if self.boxes:
            return
        for role, taps in dict(student=student, teacher=teacher).items():
            for head, logits in zip(self.heads[role], self._outputs(taps, role)):
                check_columns(self.name, taps[head].module, logits.shape, role)

    def check_labels(self, student: nn.Module, loss: nn.Module, name: str) -> None:
        """Refuse labels that point at a background column which is left out."""
        super().check_labels(student, loss, name)
        if needs_labels(loss) and not self.background and self.select != 'fg':
            raise ConfigError(
                f'{name}: {type(loss).__name__} needs the label of every RoI, but '
                "background=False leaves one out; add select='fg'."
            )

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return class logits, or box deltas, of each stage.

        What a stage that did not run would have put out is empty.
        """
        return [self._columns(tensor) for tensor in self._outputs(taps, role)]

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return logits ``(R, K + 1)`` or deltas ``(F, 4)`` of each stage."""
        sides = self._outputs(student, 'student'), self._outputs(teacher, 'teacher')
        rows = map(self._select, *sides, self._labels(student, sides[0]))
        return Aligned(*(list(column) for column in zip(*rows)))

    def _outputs(self, taps, role):
        tensors = []
        for head, call in zip(self.heads[role], self.calls(taps, role)):
            if call is not None:
                tensors.append(call.output[1 if self.boxes else 0])
                continue
            columns = self.num_classes + 1
            if self.boxes:
                columns = taps[head].module.fc_reg.out_features
            tensors.append(nothing_of(taps, head, columns))
        return tensors

    def _labels(self, taps, outputs):
        """Labels ``(R,)`` of each stage."""
        for head, output in zip(self.heads['student'], outputs):
            labels = labels_of(taps, head)
            if labels is None:
                labels = output.new_zeros(0, dtype=torch.long)
            yield labels

    def _select(self, student, teacher, labels):
        keep = self._keep(teacher, labels)
        if keep is not None:
            student, teacher, labels = student[keep], teacher[keep], labels[keep]
        if self.boxes:
            return (
                self._of_class(student, labels),
                self._of_class(teacher, labels),
                None,
            )
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

    def _of_class(self, deltas, labels):
        """Deltas ``(F, 4)`` of each RoI's own class, or those of the agnostic head."""
        if deltas.size(1) == 4:
            return deltas
        chosen = deltas.unflatten(1, (self.num_classes, 4))
        return chosen[torch.arange(len(labels), device=labels.device), labels]
