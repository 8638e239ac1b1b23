"""A pass over a made-up batch that finds every misfit before training."""

import copy
from typing import Dict, Sequence, Union

import torch
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mmkd.errors import about, explained

from .families import Run, family_of, tried
from .image_size import pixels, size_of
from .randomness import isolated_rng
from .renormalise import pad_divisor
from .teacher import Teacher
from .teacher_pass import TeacherPass, student_taps
from .term import Term

#: Height and width where no network says its own, and none pads it.
DEFAULT = 128
#: Most channels of images: a convolution of more is not the first that runs.
MOST_CHANNELS = 4


def made_up_images(
    student: nn.Module,
    teachers: Sequence[nn.Module] = (),
    size: Union[int, Sequence[int], None] = None,
) -> Tensor:
    """Make two images of noise ``(2, C, H, W)``, the same ones each time.

    To black ones a network without biases puts out zeros, of which nothing can be told.

    Args:
        student (nn.Module): The student, on whose device they are.
        teachers (Sequence[nn.Module]): Networks of its teachers that see images of the
            student's size.
        size (int | Sequence[int], optional): Height and width. Defaults to what the
            student says of itself, else to the largest that a teacher says, else to
            128 x 128, or near it where a teacher pads further than the student: to
            what is padded.

    Raises:
        ConfigError: The size is none, or too large for the memory.
    """
    if size is None:
        said = filter(None, map(size_of, teachers))
        size = size_of(student) or tuple(map(max, zip(*said)))
        size = size or _default_size(student, teachers)
    size = pixels('probe_size', size)
    noise = torch.Generator().manual_seed(0)
    parameter = next(student.parameters(), torch.empty(0))
    with explained(
        f'made-up images of {size[0]} x {size[1]} pixels cannot be made',
        'give the size of the training images as model.probe_size=(HEIGHT, WIDTH)',
    ):
        shape = 2, _channels_of(student), *size
        images = torch.randn(shape, generator=noise, dtype=torch.float32)
        return images.to(parameter.device, parameter.dtype)


def _default_size(student, teachers):
    divisor = pad_divisor(student.data_preprocessor)
    others = [pad_divisor(teacher.data_preprocessor) for teacher in teachers]
    # A student that pads to nothing says not what it takes.
    if 1 < divisor < DEFAULT and any(divisor % other for other in others):
        return DEFAULT - divisor, DEFAULT + divisor
    return DEFAULT


def _channels_of(student) -> int:
    """What the first convolution takes, unless several channels are normalised."""
    preprocessor = student.data_preprocessor
    normalises = getattr(preprocessor, '_enable_normalize', False)
    normalised = preprocessor.mean.numel() if normalises else None
    convolutions = (m for m in student.modules() if isinstance(m, nn.Conv2d))
    first = next(convolutions, None)
    if first is None or normalised not in (None, 1):
        return normalised or 3
    return first.in_channels if first.in_channels <= MOST_CHANNELS else 3


@torch.no_grad()
def dry_run(
    student: nn.Module,
    teachers: Dict[str, Teacher],
    terms: Sequence[Term],
    inputs: Tensor,
) -> None:
    """Fit every term to the shapes that student and teacher put out.

    Both sides run as they will in training. A copy of the student does, so that neither
    running statistics nor counters see made-up images.

    Args:
        student (nn.Module): The student.
        teachers (dict[str, Teacher]): The teachers.
        terms (Sequence[Term]): The terms; their adapters are made.
        inputs (Tensor): Made-up images ``(N, C, H, W)``.

    Raises:
        ConfigError: The two sides of a term cannot be compared, or a network refuses
            the images.
    """
    # A synchronised batch norm runs on a GPU alone, and waits for other processes.
    student = revert_sync_batchnorm(copy.deepcopy(student)).train()
    family = family_of(student)
    with tried('the student', family, inputs):
        samples = family.samples(inputs)
    passes = {
        name: TeacherPass(teacher, [term for term in terms if term.teacher == name])
        for name, teacher in teachers.items()
    }
    with isolated_rng(inputs.device):
        for teacher_pass in passes.values():
            teacher_pass.begin(inputs, samples)
        paths = [path for term in terms for path in term.pairing.student_outputs]
        with tried('the student', family, inputs), student_taps(student, terms) as taps:
            family.rehearse(Run(student, inputs, samples), paths)
        for teacher_pass in passes.values():
            teacher_pass.finish(taps)
    for term in terms:
        kinds = f'{type(term.loss).__name__}, {type(term.pairing).__name__}'
        what = f'{kinds} cannot compare what student and teacher put out'
        how = 'compare other modules in on=, or correct the class that is not from mmkd'
        with about(term.name), explained(what, how):
            answers = passes[term.teacher].taps
            term.fit(taps, answers, teachers[term.teacher], samples)
