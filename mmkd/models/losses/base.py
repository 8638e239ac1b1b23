"""What every distillation loss shares: numerics, empty batches, levels."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

#: For messages, by number of dimensions.
KINDS = {
    2: 'rows (N, C)',
    3: 'logits of cells (N, K, M)',
    4: 'maps (N, C, H, W)',
}
ADVICE = {
    2: "choose logits ('logits', 'roi.logits'), or pooled features such as 'neck' of a "
    'classifier',
    3: "choose 'cells.logits' of classifiers or 'roi.cells' of two-stage detectors",
    4: "choose a stage such as 'backbone.layer3', or the neck of a detector",
}


class LossInputs(NamedTuple):
    """What a loss is going to compare, known when the model is built.

    Shapes are of a dry run on two made-up images; sizes of maps differ in training.
    """

    #: Names the loss and both modules; begins every error message.
    where: str
    #: Shapes of the student's tensors, after adapters, one a level.
    student: List[tuple]
    teacher: List[tuple]
    #: The modules that put them out.
    student_outputs: Sequence[str]
    teacher_outputs: Sequence[str]
    #: The :class:`~mmkd.models.teacher.Teacher`, as loaded. Keep it and not its
    #: network: only the first survives a copy of the Distiller uncopied.
    source: object


class DistillLoss(nn.Module):
    """Compares what the student says with what the teacher says.

    A subclass implements :meth:`compare` on two aligned tensors or, where each sample
    has a loss of its own, :meth:`rows`. This class sees to the rest: autocast is off
    and half precision is promoted to float32 (float64 is kept); several levels
    (stages, an FPN's maps) are averaged or summed; an empty selection, say no
    foreground RoI, gives a zero that is part of the graph.
    """

    #: Whether :meth:`compare` reads the hard labels. The Distiller refuses such a
    #: loss where no hard label exists (feature maps, Mixup, CutMix) before training.
    needs_target = False
    #: Whether soft labels ``(N, K)`` do as well.
    takes_soft_targets = False
    #: Whether :meth:`forward` takes each sample's index in the training set.
    needs_index = False
    #: Whether it compares samples with each other, so that one alone says nothing.
    over_batch = False
    #: How many dimensions its tensors may have: 2 for logits and pooled features
    #: ``(N, C)``, 3 for logits of cells ``(N, K, M)``, 4 for maps ``(N, C, H, W)``.
    #: None takes any.
    ranks: Optional[Tuple[int, ...]] = None
    #: Whether both sides need one shape; an adapter maps the student's channels then.
    adapts = True
    #: Whether each level of the student has one of the teacher's to go with. Where not,
    #: :meth:`forward` is overridden and :attr:`adapts` is False.
    pairs_levels = True
    #: Student modules among those compared behind which the gradient ends while this
    #: loss is live. Such a loss has a method ``part`` for one level, and takes what it
    #: said as ``given``; see :class:`LAKDLoss` and :class:`~mmkd.models.cuts.Cuts`.
    cuts: Sequence[str] = ()
    #: Whether levels are summed, as the authors of some losses do, or averaged.
    sum_levels = False

    def __init__(self) -> None:
        super().__init__()
        #: What the last value is made of, for the log: scalars without gradient.
        self.parts: Dict[str, Tensor] = {}

    def fit(self, inputs: LossInputs) -> None:
        """Look at what will be compared; make what depends on its shapes.

        Called once, before the optimizer is made.

        Raises:
            ConfigError: The loss cannot compare this.
        """
        for shape in [*inputs.student, *inputs.teacher]:
            if self.ranks is not None and len(shape) not in self.ranks:
                kinds = ' or '.join(KINDS[rank] for rank in self.ranks)
                raise ConfigError(
                    f'{inputs.where}: this loss compares {kinds}, got shape '
                    f'{tuple(shape)}; {ADVICE[self.ranks[0]]}.'
                )
        for ours, theirs in zip(inputs.student, inputs.teacher):
            if ours[0] != theirs[0]:
                raise ConfigError(
                    f'{inputs.where}: got {ours[0]} samples of the student and '
                    f'{theirs[0]} of the teacher (shapes {ours} and {theirs}); choose '
                    'modules that keep the batch as the first dimension.'
                )

    def see_training_set(self, labels: Tensor) -> None:
        """Take the labels ``(num_samples,)`` of the training set.

        :class:`~mmkd.engine.hooks.TrainingLabelsHook` calls it before training.
        """

    def forward(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
    ) -> Tensor:
        """Compute the loss, unweighted.

        Args:
            student (Sequence[Tensor]): The student's tensors, one a level.
            teacher (Sequence[Tensor]): Aligned with ``student``; no gradient.
            targets (Sequence[Tensor | None]): Labels ``(N,)`` or soft labels
                ``(N, K)`` of each level, where there are any.

        Returns:
            Tensor: A scalar, averaged or summed over the levels.
        """
        # Names are known since the dry run: a level without samples says nothing.
        self.parts = {name: student[0].new_zeros(()) for name in self.parts}
        count = 1 if self.sum_levels else len(student)
        levels = zip(student, teacher, targets)
        return sum(self._compare_one(*level, count) for level in levels) / count

    def _compare_one(self, student, teacher, target, count=1):
        if student.numel() == 0:
            # A gradient of zero for what the loss learns, too: DDP waits for one.
            return sum((p.sum() for p in self.parameters()), student.sum()) * 0.0
        with full_precision(student.device):
            value = self.compare(promoted(student), promoted(teacher), target)
        if not isinstance(value, dict):
            return value
        for name, part in value.items():
            self.parts[name] = self.parts.get(name, 0.0) + part.detach() / count
        return sum(value.values())

    def compare(self, student: Tensor, teacher: Tensor, target) -> Tensor:
        """Return the loss of one level, a scalar.

        Args:
            student (Tensor): At least float32, after its adapter: logits ``(N, K)`` of
                images, or ``(R, K + 1)`` of RoIs with the background last; maps ``(N,
                C, H, W)``; or what else the modules in ``on=`` put out.
            teacher (Tensor): Of the same shape, if :attr:`adapts`; no gradient.
            target (Tensor | None): With logits, the true class ``(N,)`` of each row,
                or soft labels ``(N, K)`` under Mixup and CutMix. None with modules.

        Returns:
            Tensor | dict[str, Tensor]: A scalar; what is averaged or summed is the
            loss's own matter. Or scalars by name that add up to it: the log has each.
        """
        return self.rows(student, teacher, target).mean()

    def rows(self, student: Tensor, teacher: Tensor, target) -> Tensor:
        """Return the loss ``(N,)`` of each sample; :meth:`compare` averages them.

        Losses such as :class:`~mmkd.models.losses.SDDLoss` weight them.
        """
        raise NotImplementedError(f'{type(self).__name__} has neither compare nor rows')


def full_precision(device: torch.device) -> torch.autocast:
    """Switch autocast off on a device."""
    return torch.autocast(device.type, enabled=False)


def promoted(tensor: Tensor) -> Tensor:
    """Return half precision as float32, anything else as it is."""
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if half else tensor
