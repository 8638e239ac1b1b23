"""What every distillation loss shares: numerics, empty batches, levels."""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

from .input_checks import check_fitted, check_needs, check_shapes, check_weights
from .levels import Levels, LossInputs, listed, spread
from .numerics import full_precision, mean_of, promoted


class DistillLoss(nn.Module):
    """Compares what the student says with what the teacher says.

    In a Distiller, or alone, in any loop::

        loss = KDLoss(tau=4.0)(student_logits, teacher_logits)

    A subclass implements :meth:`compare` on two aligned tensors or, where each sample
    has a loss of its own, :meth:`rows`. This class sees to the rest: autocast is off
    and half precision is promoted to float32 (float64 is kept); several levels
    (stages, an FPN's maps) are averaged or summed; an empty selection, say no
    object in the images, gives a zero that is part of the graph.
    """

    #: What it has to know beside the two sides, by name: ``'labels'``, one true class a
    #: row; ``'soft_labels'``, which may be mixed ones as well; or a name in
    #: :data:`mmkd.models.side_information.SIDE_INFORMATION`, which comes as a keyword
    #: argument of :meth:`compare_levels`. The Distiller refuses before training a loss
    #: whose labels nobody can give.
    needs: Tuple[str, ...] = ()
    #: Whether it compares samples with each other, so that one alone says nothing.
    over_batch = False
    #: Whether it compares each with each, so that its memory grows with their square.
    compares_pairs = False
    #: Whether all processes of a distributed run take part in each value. Such a loss
    #: compares empty selections too, so that none waits for another.
    synchronises = False
    #: How many dimensions its tensors may have: 2 for logits and pooled features
    #: ``(N, C)``, 3 for logits of cells ``(N, K, M)``, 4 for maps ``(N, C, H, W)``.
    #: None takes any.
    ranks: Optional[Tuple[int, ...]] = None
    #: Whether columns are classes of which one is true, as in a softmax: multi-label
    #: heads are refused.
    of_classes = False
    #: How many columns rows and cells need at least: 2 where columns are classes of
    #: which one is true, since of one alone nothing can be told.
    least_columns = 1
    #: Whether both sides need one shape; an adapter maps the student's channels then.
    adapts = True
    #: Whether each level of the student has one of the teacher's to go with. Where not,
    #: :meth:`compare_levels` is overridden and :attr:`adapts` is False.
    pairs_levels = True
    #: Whether what it learns is another for each level.
    learns_by_level = False
    #: Whether levels are summed, as the authors of some losses do, or averaged.
    sum_levels = False

    def __init__(self) -> None:
        super().__init__()
        #: What the last value is made of, for the log: scalars without gradient.
        self.parts: Dict[str, Tensor] = {}
        self._fitted = False
        #: Shapes of both sides that what it learns was made for; None of a loss that
        #: learns nothing, or is in a Distiller, which has tried it.
        self._fitted_to: Optional[Tuple[List[tuple], List[tuple]]] = None

    @property
    def weighs_rows(self) -> bool:
        """Whether rows can be weighted: each has a value of its own."""
        kind = type(self)
        return (
            kind.rows is not DistillLoss.rows
            and kind.compare is DistillLoss.compare
            and kind.compare_levels is DistillLoss.compare_levels
        )

    def fit(self, inputs: LossInputs) -> None:
        """Look at what will be compared; make what depends on its shapes.

        Called once, before the optimizer is made.

        Raises:
            ConfigError: The loss cannot compare this.
        """
        self._fitted = True
        model = getattr(inputs.source, 'model', None)
        check_shapes(self, inputs.where, inputs.student, inputs.teacher, model)

    def fit_to(self, student: Levels, teacher: Levels) -> 'DistillLoss':
        """Fit a loss that is used alone to examples of what it will compare.

        Only losses that learn need it, before the optimizer is made.

        Args:
            student (Tensor | Sequence[Tensor]): As :meth:`forward` takes them.
            teacher (Tensor | Sequence[Tensor]): Likewise.

        Returns:
            DistillLoss: Itself, on the student's device and, where this is float64, in
            its precision. What it learns starts from torch's random numbers, and those
            that come next are as if nothing had been drawn.

        Raises:
            ConfigError: The loss cannot compare this.
        """
        student = listed(self, 'student', student)
        self._fit_alone(student, listed(self, 'teacher', teacher))
        return self.to(promoted(student[0]))

    def see_training_set(self, labels: Tensor) -> None:
        """Take the labels ``(num_samples,)`` of the training set.

        :class:`~mmkd.engine.hooks.TrainingLabelsHook` calls it before training.
        """

    def around(self, student, teacher, adapters) -> AbstractContextManager:
        """Return what to open around the student's forward pass; by default nothing.

        Args:
            student (Taps): What is being recorded of the student.
            teacher (Taps): What the teacher answered to the images alone.
            adapters (LevelAdapters): Those of the levels.
        """
        return nullcontext()

    def forward(
        self,
        student: Levels,
        teacher: Levels,
        targets: Union[Tensor, Sequence[Optional[Tensor]], None] = None,
        weights: Union[Tensor, Sequence[Optional[Tensor]], None] = None,
        divisor: Union[Tensor, float, None] = None,
        **side,
    ) -> Tensor:
        """Compute the loss, unweighted.

        Args:
            student (Tensor | Sequence[Tensor]): The student's tensor, or one a level.
            teacher (Tensor | Sequence[Tensor]): Aligned with ``student``. No gradient
                passes.
            targets (Tensor | Sequence[Tensor | None], optional): Labels ``(N,)`` or
                soft labels ``(N, K)``; a tensor is of all levels.
            weights (Tensor | Sequence[Tensor | None], optional): Weight ``(N,)`` of
                each row, for losses that have a value a row.
            divisor (Tensor | float, optional): What the sum over the rows of all levels
                is divided by. Defaults to their number, level by level.
            **side: What :attr:`needs` names beside labels.

        Returns:
            Tensor: A scalar, averaged or summed over levels; with a divisor, summed.

        Raises:
            ConfigError: The loss cannot compare this.
        """
        student = listed(self, 'student', student)
        teacher = [level.detach() for level in listed(self, 'teacher', teacher)]
        targets = spread(self, 'targets', targets, len(student))
        if not self._fitted:
            self._fit_unasked(student, teacher)
        check_shapes(self, type(self).__name__, student, teacher)
        if self._fitted_to is not None:
            check_fitted(self, self._fitted_to, student, teacher)
        check_needs(self, student, targets, side)
        if weights is not None or divisor is not None:
            weights = spread(self, 'weights', weights, len(student))
            check_weights(self, student, weights, divisor)
            side.update(weights=weights, divisor=divisor)
        return self.compare_levels(student, teacher, targets, **side)

    def compare_levels(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        targets: Sequence[Optional[Tensor]],
        weights: Optional[Sequence[Optional[Tensor]]] = None,
        divisor: Union[Tensor, float, None] = None,
    ) -> Tensor:
        """Return the loss of all levels; see :meth:`forward`.

        What :attr:`needs` names beside labels comes to a subclass by keyword.
        """
        # Names are known since the dry run: a level without samples says nothing.
        self.parts = {name: student[0].new_zeros(()) for name in self.parts}
        count = 1 if self.sum_levels or divisor is not None else len(student)
        weights = [None] * len(student) if weights is None else weights
        levels = zip(student, teacher, targets, weights)
        values = (self._compare_level(*level, divisor, count) for level in levels)
        return sum(values) / count

    def _compare_level(
        self, student, teacher, target, weights=None, divisor=None, count=1
    ):
        if self.synchronises and not student.requires_grad:
            # The collectives of the backward pass have to be in each process's graph.
            student = student.detach().requires_grad_()
        if student.numel() == 0 and not self.synchronises:
            # A gradient of zero for what the loss learns, too: DDP waits for one.
            return sum((p.sum() for p in self.parameters()), student.sum()) * 0.0
        with full_precision(student.device):
            student, teacher = promoted(student), promoted(teacher)
            if weights is None and divisor is None:
                value = self.compare(student, teacher, target)
            else:
                value = self._weighted(student, teacher, target, weights, divisor)
        if not isinstance(value, dict):
            return value
        for name, part in value.items():
            self.parts[name] = self.parts.get(name, 0.0) + part.detach() / count
        return sum(value.values())

    def _weighted(self, student, teacher, target, weights, divisor):
        rows = self.rows(student, teacher, target)
        rows = rows if weights is None else rows * weights
        return rows.sum() / (max(len(rows), 1) if divisor is None else divisor)

    def compare(self, student: Tensor, teacher: Tensor, target) -> Tensor:
        """Return the loss of one level, a scalar.

        Args:
            student (Tensor): At least float32, after its adapter: logits ``(N, K)``,
                with the background last where there is one; maps ``(N, C, H, W)``; or
                what else the modules in ``on=`` put out.
            teacher (Tensor): Of the same shape, if :attr:`adapts`; no gradient.
            target (Tensor | None): With logits, the true class ``(N,)`` of each row,
                or soft labels ``(N, K)`` under Mixup and CutMix. None with modules.

        Returns:
            Tensor | dict[str, Tensor]: A scalar; what is averaged or summed is the
            loss's own matter. Or scalars by name that add up to it: the log has each.
        """
        return mean_of(self.rows(student, teacher, target))

    def rows(self, student: Tensor, teacher: Tensor, target) -> Tensor:
        """Return the loss ``(N,)`` of each sample; :meth:`compare` averages them.

        Losses such as :class:`~mmkd.models.losses.SDDLoss` weight them.
        """
        raise NotImplementedError(f'{type(self).__name__} has neither compare nor rows')

    def _fit_alone(self, student, teacher):
        shapes = tuple(
            [tuple(level.shape) for level in side] for side in (student, teacher)
        )
        inputs = LossInputs(type(self).__name__, *shapes, (), (), None)
        before = len(list(self.parameters()))
        try:
            with torch.random.fork_rng(devices=[]):
                self.fit(inputs)
        except ConfigError:
            self._fitted = False  # what a subclass refuses has passed here before
            raise
        if len(list(self.parameters())) > before:
            self._fitted_to = shapes

    def _fit_unasked(self, student, teacher):
        # A copy first, so that nothing is left of what is refused.
        trial = copy.deepcopy(self)
        trial._fit_alone(student, teacher)
        if len(list(trial.parameters())) > len(list(self.parameters())):
            raise ConfigError(
                f'{type(self).__name__} has parameters of its own, which depend on '
                'what it compares: call its fit_to(student, teacher) with examples '
                'once, before the optimizer is made.'
            )
        self._fit_alone(student, teacher)
        self.to(student[0].device)
