"""What a teacher does in one step."""

from contextlib import nullcontext
from typing import List, Optional, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor

from .pairings.roi import rois_of
from .taps import Taps
from .teacher import Teacher
from .term import Term


class TeacherPass:
    """Runs the parts of one teacher that the terms need, each once.

    What needs nothing from the student runs before it, so that all but the compared
    tensors is freed by then; heads on the student's RoIs run after it.

    Args:
        teacher (Teacher): The teacher.
        terms (Sequence[Term]): Those that ask this teacher.
        exact (bool): Run it in the precision of its weights, whatever its inference
            form says. Defaults to False.
    """

    def __init__(
        self, teacher: Teacher, terms: Sequence[Term], exact: bool = False
    ) -> None:
        self._terms = terms
        self._exact = exact
        pairings = [term.pairing for term in terms]
        outputs = [name for pairing in pairings for name in pairing.teacher_outputs]
        self.taps = Taps(teacher.model, outputs, 'teacher')
        self._teacher = teacher
        self._parts = dict.fromkeys(
            part for pairing in pairings for part in pairing.teacher_parts
        )
        on_rois = [one for one in pairings if 'roi_head' in one.teacher_parts]
        self._extractors: List[str] = on_rois[0].roi_extractors if on_rois else []
        self._stages = {stage for pairing in on_rois for stage in pairing.stages}
        self._forward = None

    @torch.no_grad()
    def begin(self, inputs: Tensor, data_samples: Optional[list] = None) -> None:
        """Run what needs the images alone.

        Args:
            inputs (Tensor): Images ``(N, C, H, W)``, preprocessed for the student.
            data_samples (list, optional): Their samples.
        """
        forward = self._teacher.forward(inputs, data_samples)
        with self._precision(inputs), self.taps:
            for part in self._parts:
                forward.run('trunk' if part == 'roi_head' else part)
        if 'roi_head' in self._parts:
            self._forward = forward

    @torch.no_grad()
    def finish(self, student: Taps) -> None:
        """Run what needs the student's RoIs.

        Args:
            student (Taps): What the student recorded.
        """
        if self._forward is None:
            return
        rois = rois_of(student, self._extractors)
        rois = [r if stage in self._stages else None for stage, r in enumerate(rois)]
        with self._precision(self._forward.inputs), self.taps:
            self._forward.run('roi_head', rois)
        self._forward = None

    def log_drift(
        self, inputs: Tensor, data_samples: Optional[list], student: Taps
    ) -> None:
        """Log how far an approximate inference form moved what is compared.

        Args:
            inputs (Tensor): The images of this pass.
            data_samples (list, optional): Their samples.
            student (Taps): What the student recorded.
        """
        if self._teacher.form.dtype is None:
            return
        exact = TeacherPass(self._teacher, self._terms, exact=True)
        exact.begin(inputs, data_samples)
        exact.finish(student)
        for term in self._terms:
            moved = [
                (near.float() - true).square().mean().sqrt() / true.std()
                for near, true in zip(
                    term.pairing.tensors(self.taps, 'teacher'),
                    term.pairing.tensors(exact.taps, 'teacher'),
                )
            ]
            print_log(
                f'{term.name}: the teacher runs in {self._teacher.form.dtype}, which '
                f'moved its {term.pairing.describe()} by {max(moved):.2%} of their '
                'standard deviation (root mean square, first batch).',
                logger='current',
            )

    def _precision(self, inputs):
        if self._exact:
            return nullcontext()
        return self._teacher.form.precision(inputs.device)


def student_taps(student, terms: Sequence[Term]) -> Taps:
    """Make the taps that the terms need on the student."""
    pairings = [term.pairing for term in terms]
    outputs = [name for pairing in pairings for name in pairing.student_outputs]
    inputs = [name for pairing in pairings for name in pairing.student_inputs]
    return Taps(student, outputs, 'student', inputs)
