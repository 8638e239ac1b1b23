"""A pass over made-up images that finds every misfit before training."""

import random
from contextlib import contextmanager
from typing import Dict, Iterator, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .partial_forward import PartialForward, made_up_rois
from .teacher import Teacher
from .teacher_pass import TeacherPass, student_taps
from .term import Term


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Leave the random states of Python, NumPy and torch's CPU as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def made_up_images(student: nn.Module, size: Optional[Sequence[int]] = None) -> Tensor:
    """Make two images of noise ``(2, 3, H, W)``, the same ones each time.

    To black ones a network without biases puts out zeros, of which nothing can be told.

    Args:
        student (nn.Module): The student.
        size (Sequence[int], optional): Height and width. Defaults to the backbone's
            ``img_size``, or 128 x 128.
    """
    if size is None:
        size = getattr(getattr(student, 'backbone', None), 'img_size', 128)
    height, width = (size, size) if isinstance(size, int) else size
    noise = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, height, width, generator=noise)


@torch.no_grad()
def dry_run(
    student: nn.Module,
    teachers: Dict[str, Teacher],
    terms: Sequence[Term],
    inputs: Tensor,
) -> None:
    """Fit every term to the shapes that student and teacher put out.

    Args:
        student (nn.Module): The student; in eval mode meanwhile.
        teachers (dict[str, Teacher]): The teachers.
        terms (Sequence[Term]): The terms; their adapters are made.
        inputs (Tensor): Made-up images ``(N, C, H, W)``.

    Raises:
        ConfigError: The two sides of a term cannot be compared.
    """
    modes = {module: module.training for module in student.modules()}
    student.eval()
    passes = {}
    for name, teacher in teachers.items():
        asking = [term for term in terms if term.teacher == name]
        passes[name] = TeacherPass(teacher, asking)
        passes[name].begin(inputs)
    with student_taps(student, terms) as ours:
        forward = PartialForward(student, inputs)
        parts = [part for term in terms for part in term.pairing.student_parts]
        for part in dict.fromkeys(parts):
            forward.run(part, _rois(student, inputs) if part == 'roi_head' else None)
    for one in passes.values():
        one.finish(ours)
    for module, training in modes.items():
        module.training = training
    for term in terms:
        term.fit(ours, passes[term.teacher].taps, teachers[term.teacher])


def _rois(student, inputs):
    heads = student.roi_head.bbox_head
    stages = len(heads) if isinstance(heads, nn.ModuleList) else 1
    return made_up_rois(inputs, stages)
