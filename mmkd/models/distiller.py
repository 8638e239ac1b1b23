"""The Distiller: an ordinary MMEngine model that trains a student."""

import copy
from contextlib import ExitStack
from typing import Dict, List, Optional, Sequence, Union

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmkd.construct import construct
from mmkd.errors import ConfigError, about
from mmkd.registry import MODELS

from .checkpoint import keep_student_keys
from .dry_run import dry_run, made_up_images
from .finite_check import FiniteCheck
from .gradient_check import GradientCheck
from .guards import check_classes
from .inherit import Inheritance
from .randomness import RandomStream, isolated_rng
from .schedule import Progress
from .stock_network import build_student
from .teacher import Teacher
from .teacher_pass import TeacherPass, student_taps
from .term import Term


@MODELS.register_module()
class Distiller(BaseModel):
    """Trains an unmodified student with what unmodified teachers know.

    To the Runner it is the student: same losses, predictions, hooks and checkpoint
    keys, plus one loss for each entry of ``losses``. What the losses bring along
    (adapters, parameters) is saved under ``distill.`` for resuming. With
    ``losses={}`` it trains the student bit for bit as without mmkd.

    Args:
        student (dict | nn.Module): An mmpretrain classifier or an mmdet detector.
        losses (dict[str, dict]): By name, which has to contain ``loss``, the
            arguments of :class:`Term`: ``type``, ``on``, ``weight``, ``teacher`` and
            those of the loss.
        teacher (dict, optional): Arguments of :class:`Teacher`.
        teachers (dict[str, dict], optional): Several teachers by name, instead.
        probe_size (int | tuple[int, int], optional): Height and width of the made-up
            images on which shapes are checked when building. mmkd's tools take it from
            the config's pipelines. Defaults to the student's ``img_size``, else the
            largest of the teachers', or 128.
        data_preprocessor (dict, optional): The student's, where it has none. The
            Runner passes it on from the config's top level, where mmpretrain's
            configs keep it.
        inherit (list[str] | dict, optional): Modules of the student that start from
            the teacher's, such as ``['neck', 'bbox_head']``, where tensors agree, see
            :class:`Inheritance`. They do so again after ``init_weights``; a
            checkpoint that is loaded or resumed from comes after that.

    Raises:
        ConfigError: The parts do not fit together.
        CheckpointError: A teacher's checkpoint is missing or does not fit.

    Example:
        >>> model = dict(
        ...     type='mmkd.Distiller', student=student,
        ...     teacher=dict(config='mmpretrain::resnet/resnet34_8xb32_in1k.py',
        ...                  checkpoint='resnet34.pth'),
        ...     losses=dict(loss_kd=dict(type='KDLoss', on='logits', tau=1.0)))
    """

    def __init__(
        self,
        student: Union[dict, nn.Module],
        losses: Dict[str, dict],
        teacher: Optional[dict] = None,
        teachers: Optional[Dict[str, dict]] = None,
        probe_size: Union[int, Sequence[int], None] = None,
        data_preprocessor: Optional[dict] = None,
        inherit: Union[str, Sequence[str], dict, None] = None,
    ) -> None:
        super().__init__()
        del self.data_preprocessor  # the student's, through __getattr__
        self.student = build_student(student, data_preprocessor)
        self.teachers: Dict[str, Teacher] = {}
        self.distill = nn.ModuleDict()
        #: Until weights are initialised.
        self._inheritance: Optional[Inheritance] = None
        if _check_entries('losses', losses):
            # Teachers, adapters and trials of losses draw random numbers; the student's
            # initialisation and the data must not change with them.
            parameter = next(self.student.parameters(), torch.empty(0))
            with isolated_rng(parameter.device):
                self._build_terms(
                    losses, _named(teacher, teachers), probe_size, inherit
                )
        elif inherit is not None:
            raise ConfigError(
                f'inherit={inherit!r}: with losses=dict() there is no teacher; give a '
                'loss, or leave inherit out.'
            )
        self._finite = FiniteCheck()
        self._gradients = GradientCheck()
        self._random = RandomStream('losses')
        self._register_state_dict_hook(_read_losses)
        self._checked = False
        keep_student_keys(self)

    def _build_terms(self, losses, teachers, probe_size, inherit):
        for name, spec in teachers.items():
            self.teachers[name] = construct(f'teacher {name!r}', Teacher, **spec)
            self.teachers[name].match_input_of(self.student)
        if inherit is not None:
            self._inheritance = Inheritance(inherit, self.student, self.teachers)
            self._inheritance.apply(self.student)
        for name, spec in losses.items():
            if 'loss' not in name or '.' in name or name == 'loss':
                raise ConfigError(
                    f"losses: the name {name!r} must contain 'loss', no dot, and "
                    "not be 'loss' itself, which is the total; MMEngine adds up what "
                    'is so named.'
                )
            with about(name):
                self.distill[name] = construct(
                    name, Term, name, self.student, self.teachers, **spec
                )
        teachers = self.teachers.values()
        networks = [each.model for each in teachers if each.input_size is None]
        images = made_up_images(self.student, networks, probe_size)
        dry_run(self.student, self.teachers, self.terms, images)
        for name, teacher in self.teachers.items():
            asking = [term.pairing for term in self.terms if term.teacher == name]
            tapped = {path for pairing in asking for path in pairing.teacher_outputs}
            teacher.prepare(torch.randn_like(images), tapped)

    def as_student(self) -> nn.Module:
        """Return the student with all that is trained, by the names in checkpoints.

        What builds optimizers sees this, so that rules by name are the student's. What
        the losses learn is its child ``distill``; without losses it is the student.
        """
        if not len(self.distill):
            return self.student
        shown = copy.copy(self.student)  # of the same parameters
        shown._modules = dict(self.student._modules, distill=self.distill)
        return shown

    def init_weights(self) -> None:
        """Initialise all weights, and let the student inherit again."""
        super().init_weights()
        if self._inheritance is not None:
            self._inheritance.apply(self.student)
            self._inheritance = None

    @property
    def terms(self) -> List[Term]:
        """The entries of ``losses``."""
        return list(self.distill.values())

    def forward(
        self, inputs: Tensor, data_samples: Optional[list] = None, mode: str = 'tensor'
    ):
        """Act as the student does; in mode ``'loss'`` with the losses added."""
        if mode == 'loss' and len(self.distill):
            return self._loss(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def _loss(self, inputs, data_samples):
        progress = Progress.current()
        first = not self._checked
        if first:
            self._check_before_first_step(progress)
        live = [term for term in self.terms if not term.schedule.is_over(progress)]
        passes = {}
        for name in dict.fromkeys(term.teacher for term in live):
            asking = [term for term in live if term.teacher == name]
            passes[name] = TeacherPass(self.teachers[name], asking)
            passes[name].begin(inputs, data_samples)
        taps = student_taps(self.student, live)
        with taps, ExitStack() as around:
            for term in live:
                around.enter_context(term.around(taps, passes[term.teacher].taps))
            losses = self.student(inputs, data_samples, mode='loss')
        for teacher_pass in passes.values():
            teacher_pass.finish(taps)
            if first:
                teacher_pass.log_drift(inputs, data_samples, taps)
        if 'loss' in losses:
            # A classifier's own loss would hide the total, which has this name.
            losses['loss_student'] = losses.pop('loss')
        compared = {}
        with self._random.step(inputs.device):
            for term in self.terms:
                weight = term.schedule(progress)
                entries = {}
                if term in live:
                    answers = passes[term.teacher].taps
                    aligned = term.pairing.align(taps, answers, data_samples)
                    self._gradients.see(term, taps, aligned.student)
                    value = term(aligned, data_samples)
                    entries.update(term.parts)
                    compared[term.name] = aligned
                else:
                    # Keeps what the term learned in the graph: DDP's reducer waits for
                    # every parameter.
                    parts = (parameter.sum() for parameter in term.parameters())
                    value = sum(parts, inputs.new_zeros(()))
                entries[term.name] = value * weight
                entries[term.name.replace('loss', 'weight')] = torch.tensor(weight)
                _add(losses, entries)
        self._finite.note(losses, compared)
        return losses

    def check_finite(self) -> None:
        """Stop all processes, which have to call it, if a loss was not finite."""
        self._finite.read()

    def _check_before_first_step(self, progress):
        self._checked = True
        for term in self.terms:
            term.schedule.check(progress)
            if term.pairing.of_classes:
                check_classes(self.teachers[term.teacher].classes, term.teacher)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        for teacher in self.teachers.values():
            teacher.apply(fn)
        return self

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Hooks of stock configs reach for runner.model.backbone, .bbox_head, ...
            student = self.__dict__.get('_modules', {}).get('student')
            if student is None:
                raise
            return getattr(student, name)


def _read_losses(distiller, *_):
    """Keep a broken state from being saved; only the process that saves comes here."""
    distiller._finite.read_alone()


def _named(teacher, teachers):
    """Return the teachers by name."""
    if (teacher is None) == (teachers is None):
        raise ConfigError(
            'give teacher=dict(config=..., checkpoint=...), or several as '
            'teachers=dict(NAME=dict(...), ...); got '
            + ('neither.' if teacher is None else 'both.')
        )
    named = dict(teacher=teacher) if teachers is None else teachers
    if not _check_entries('teachers', named):
        raise ConfigError('teachers={}: there is none; give one by name, or losses={}.')
    return named


def _check_entries(what, entries):
    """Return entries by name if that is what they are."""
    if not isinstance(entries, dict) or not all(
        isinstance(name, str) and isinstance(entry, dict)
        for name, entry in entries.items()
    ):
        raise ConfigError(
            f'{what} must be a dict of dicts by name, such as '
            f'{what}=dict(NAME=dict(...)), got {entries!r}.'
        )
    return entries


def _add(losses, entries):
    """Add to the log, and to the total what has loss in its name."""
    for name, value in entries.items():
        if name in losses:
            raise ConfigError(
                f'losses: the student has a loss named {name!r} already; choose '
                'another name.'
            )
        losses[name] = value
