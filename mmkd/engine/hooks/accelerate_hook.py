"""Faster steps for networks whose images all have one size."""

from functools import partial
from typing import Optional, Union

import torch
from mmengine.hooks import Hook

from mmkd.engine.bare_model import bare_model
from mmkd.errors import ConfigError
from mmkd.models.fast_forward import CompiledForward, GraphedForward, speed_up
from mmkd.registry import HOOKS


@HOOKS.register_module()
class AccelerateHook(Hook):
    """Lays out, compiles or captures a classifier before it trains.

    It takes a stock model or a Distiller, where it treats student and teachers
    alike. Nothing is approximated: roundings may come in another order. Weights,
    checkpoints and EMA stay what they are. Backbone and neck are treated; where a
    loss compares a module inside, what lies around it runs as it was written.

    ::

        default_hooks = dict(accelerate=dict(type='mmkd.AccelerateHook'))

    Args:
        channels_last (bool): Lay the student's maps out with channels last; the
            teacher's layout is its ``inference``'s. Defaults to True.
        compile (bool | dict): Use ``torch.compile``, with these arguments. Defaults
            to False.
        cuda_graph (bool): Replay CUDA graphs. For GPUs; with ``compile`` write
            ``compile=dict(mode='reduce-overhead')`` instead. Defaults to False.

    Raises:
        ConfigError: ``cuda_graph`` without a GPU or with ``compile``, or a model that
            is no classifier.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        channels_last: bool = True,
        compile: Union[bool, dict] = False,
        cuda_graph: bool = False,
    ) -> None:
        if compile and cuda_graph:
            raise ConfigError(
                'AccelerateHook: compile and cuda_graph exclude each other; for both '
                "in one use compile=dict(mode='reduce-overhead')."
            )
        if cuda_graph and not torch.cuda.is_available():
            raise ConfigError(
                'AccelerateHook: cuda_graph=True needs a GPU, and torch sees none; '
                'leave it out on a CPU.'
            )
        self.channels_last = channels_last
        self.make = None
        if compile:
            options = dict(dynamic=False, **(compile if compile is not True else {}))
            self.make = partial(CompiledForward, options=options)
        elif cuda_graph:
            self.make = GraphedForward

    def before_train(self, runner) -> None:
        """Treat the model."""
        model = bare_model(runner)
        student = getattr(model, 'student', model)
        if getattr(student, 'head', None) is None:
            raise ConfigError(
                f'AccelerateHook is for classifiers, and {type(student).__name__} has '
                'no classification head; take it out.'
            )
        if self.channels_last:
            student.to(memory_format=torch.channels_last)
        if self.make is None:
            return
        pairings = [term.pairing for term in getattr(model, 'terms', ())]
        tapped = {path for pairing in pairings for path in _tapped(pairing)}
        treated = {'student': speed_up(student, tapped, self.make)}
        for name, teacher in getattr(model, 'teachers', {}).items():
            tapped = {path for pairing in pairings for path in pairing.teacher_outputs}
            treated[name] = speed_up(teacher.model, tapped, self.make)
        for name, units in treated.items():
            runner.logger.info(f'{name}: {", ".join(units)} run fast')


def _tapped(pairing) -> Optional[set]:
    return {*pairing.student_outputs, *pairing.student_inputs}
