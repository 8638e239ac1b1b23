"""A pass over a made-up batch that finds every misfit before training."""

import copy
from contextlib import contextmanager
from typing import Dict, Iterator, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mmkd.errors import ConfigError, MMKDError

from .families import Run, family_of
from .randomness import isolated_rng
from .teacher import Teacher
from .teacher_pass import TeacherPass, student_taps
from .term import Term

#: Names under which networks of mmpretrain, timm and Hugging Face keep their size.
SIZES = ('img_size', 'image_size')
#: Height and width where no network says its own.
DEFAULT = 128


def made_up_images(
    student: nn.Module,
    teachers: Sequence[nn.Module] = (),
    size: Union[int, Sequence[int], None] = None,
) -> Tensor:
    """Make two images of noise ``(2, C, H, W)``, the same ones each time.

    To black ones a network without biases puts out zeros, of which nothing can be told.

    Args:
        student (nn.Module): The student, on whose device they are.
        teachers (Sequence[nn.Module]): Its teachers' networks.
        size (int | Sequence[int], optional): Height and width. Defaults to the larger
            of what the networks say of themselves, or 128 x 128.
    """
    if size is None:
        known = [own for own in map(_size_of, (student, *teachers)) if own]
        size = tuple(map(max, zip(*known))) or DEFAULT
    noise = torch.Generator().manual_seed(0)
    convolutions = (m for m in student.modules() if isinstance(m, nn.Conv2d))
    first = next(convolutions, None)
    channels = 1 if first is not None and first.in_channels == 1 else 3
    shape = 2, channels, *_pair(size)
    images = torch.randn(shape, generator=noise, dtype=torch.float32)
    parameter = next(student.parameters(), images)
    return images.to(parameter.device, parameter.dtype)


def _size_of(model) -> Optional[Tuple[int, int]]:
    for part in (getattr(model, 'backbone', None), getattr(model, 'model', None)):
        for holder in (part, getattr(part, 'patch_embed', None), _config_of(part)):
            for name in SIZES:
                size = getattr(holder, name, None)
                if isinstance(size, (int, list, tuple)):
                    return _pair(size)
    return None


def _config_of(part):
    return getattr(part, 'config', None)


def _pair(size):
    pair = (size, size) if isinstance(size, int) else size
    whole = isinstance(pair, (list, tuple)) and all(type(side) is int for side in pair)
    if not whole or len(pair) != 2 or min(pair) < 1:
        raise ConfigError(
            f'probe_size must be a number of pixels, or height and width, got {size!r}.'
        )
    return tuple(pair)


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
    samples = family.samples(inputs)
    passes = {
        name: TeacherPass(teacher, [term for term in terms if term.teacher == name])
        for name, teacher in teachers.items()
    }
    with isolated_rng(inputs.device):
        for name, teacher_pass in passes.items():
            with _refused(name, inputs):
                teacher_pass.begin(inputs, samples)
        paths = [path for term in terms for path in term.pairing.student_outputs]
        with _refused('student', inputs), student_taps(student, terms) as taps:
            family.rehearse(Run(student, inputs, samples), paths)
        for name, teacher_pass in passes.items():
            with _refused(name, inputs):
                teacher_pass.finish(taps)
    for term in terms:
        term.fit(taps, passes[term.teacher].taps, teachers[term.teacher])


@contextmanager
def _refused(role, inputs) -> Iterator[None]:
    """Say which network does not take the images, and how to make others."""
    try:
        yield
    except MMKDError:
        raise
    except Exception as error:  # of any network
        height, width = inputs.shape[2:]
        reason = ' '.join(str(error).split('\n', 1)[0].split())
        raise ConfigError(
            f'the {role} cannot run on made-up images of {height} x {width} pixels '
            f'({type(error).__name__}: {reason}); where their size is why, give that '
            'of the training images as model.probe_size=(HEIGHT, WIDTH), else name '
            'modules in on= that run before.'
        ) from error
