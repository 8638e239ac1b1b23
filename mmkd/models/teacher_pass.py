"""What a teacher does in one step."""

from contextlib import nullcontext
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .families import Run, family_of, tried
from .taps import Taps
from .teacher import Teacher
from .term import Term


class TeacherPass:
    """Runs the parts of one teacher that the terms need, each once.

    What needs nothing from the student runs before it, so that all but the compared
    tensors is freed by then; what needs what the student records runs after it.

    Args:
        teacher (Teacher): The teacher.
        terms (Sequence[Term]): Those that ask this teacher.
        exact (bool): Run it in the precision of its weights, whatever its inference
            form says. Defaults to False.
    """

    def __init__(
        self, teacher: Teacher, terms: Sequence[Term], exact: bool = False
    ) -> None:
        self._teacher = teacher
        self._terms = terms
        self._exact = exact
        self._paths = [path for t in terms for path in t.pairing.teacher_outputs]
        self._asked: Dict[tuple, List[str]] = {}
        for term in terms:
            for about, paths in term.pairing.asks().items():
                self._asked.setdefault(about, []).extend(paths)
        self._family = family_of(teacher.model)
        self._run: Optional[Run] = None
        self.taps = Taps(teacher.model, self._paths, 'teacher')

    @torch.no_grad()
    def begin(self, inputs: Tensor, data_samples: Optional[list] = None) -> None:
        """Run what needs the images and their samples alone.

        Args:
            inputs (Tensor): Images ``(N, C, H, W)``, preprocessed for the student.
            data_samples (list, optional): Their samples.
        """
        with self._tried(inputs):
            run = self._teacher.begin(inputs, data_samples)
        late = self._family.needs_late(self._paths)
        for path in set(self._paths) - set(late):
            self.taps[path].crop(run.shown, tuple(run.inputs.shape[2:]))
        with self._tried(run.inputs), self._precision(inputs), self.taps:
            self._family.early(run, self._paths)
            if late:
                self._run = run

    @torch.no_grad()
    def finish(self, student: Taps) -> None:
        """Run what needs what the student recorded.

        Args:
            student (Taps): What it recorded.
        """
        if self._run is None:
            return
        inputs = self._run.inputs
        with self._tried(inputs), self._precision(inputs), self.taps:
            for about, paths in self._asked.items():
                self.taps.ask(about)
                self._family.late(self._run, paths, student, *about)
        self._run = None

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

    def _tried(self, inputs):
        name = self._terms[0].teacher if self._terms else ''
        whose = 'the teacher' if name in ('', 'teacher') else f'the teacher {name!r}'
        resized = ', or its own as teacher=dict(input_size=(HEIGHT, WIDTH))'
        bound = self._family.bound_to_size(self._paths)
        other_size = '' if bound else resized
        return tried(whose, self._family, inputs, other_size)

    def _precision(self, inputs):
        if self._exact:
            return nullcontext()
        return self._teacher.form.precision(inputs.device)


def student_taps(student: nn.Module, terms: Sequence[Term]) -> Taps:
    """Make the taps that the terms, and their teachers, need on the student."""
    pairings = [term.pairing for term in terms]
    outputs = [path for pairing in pairings for path in pairing.student_outputs]
    inputs = [path for pairing in pairings for path in pairing.student_inputs]
    family = family_of(student)
    for path in [path for pairing in pairings for path in pairing.teacher_outputs]:
        inputs += family.inputs_of(student, path)
    return Taps(student, outputs, 'student', inputs)
