"""Evaluate the teacher once, before it teaches."""

from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmkd.errors import CheckpointError, ConfigError
from mmkd.models.randomness import isolated_rng
from mmkd.registry import HOOKS


@HOOKS.register_module()
class TeacherEvalHook(Hook):
    """Evaluates each teacher on the val set before training, and remembers.

    The figures are printed beside the student's after each validation, and kept in
    the checkpoint, so a resumed run does not evaluate again. A teacher below a floor
    stops the run: it would be a broken one, such as with a wrong checkpoint or wrong
    input statistics.

    Args:
        floor (dict[str, float], optional): Least value by metric, such as
            ``{'coco/bbox_mAP': 0.35}``. Defaults to none.

    Raises:
        CheckpointError: A teacher is below the floor.
        ConfigError: There is no val set, or no such metric.
    """

    priority = 'LOW'

    def __init__(self, floor: Optional[Dict[str, float]] = None) -> None:
        self.floor = dict(floor or {})

    def before_train(self, runner) -> None:
        """Evaluate, unless a resumed run has done so."""
        for name, teacher in _teachers(runner).items():
            if _figures(runner, name) is not None:
                continue
            if runner.val_loop is None:
                raise ConfigError(
                    'TeacherEvalHook needs a val set: give val_dataloader, val_cfg and '
                    'val_evaluator, or take the hook out.'
                )
            runner.logger.info(f'Evaluating the {name} on the val set ...')
            # The student is to draw the same numbers as without this hook.
            with isolated_rng():
                figures = self._evaluate(runner, teacher)
            runner.logger.info(f'{name}: {_show(figures)}')
            self._check(figures, name)
            runner.message_hub.update_info(_key(name), figures)

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        """Print the student's figures beside its teachers'."""
        for name in _teachers(runner):
            figures = _figures(runner, name) or {}
            both = [key for key in metrics or {} if key in figures]
            rows = (f'{key} {metrics[key]:.4g} / {figures[key]:.4g}' for key in both)
            if both:
                runner.logger.info(f'student / {name}: {", ".join(rows)}')

    @staticmethod
    @torch.no_grad()
    def _evaluate(runner, teacher):
        loop = runner.val_loop
        for batch in loop.dataloader:
            # The teacher's own preprocessor, on the images as the dataset gives them.
            outputs = teacher.model.val_step(batch)
            loop.evaluator.process(data_samples=outputs, data_batch=batch)
        figures = loop.evaluator.evaluate(len(loop.dataloader.dataset))
        return {
            key: float(value)
            for key, value in figures.items()
            if isinstance(value, (int, float)) or hasattr(value, 'item')
        }

    def _check(self, figures, name):
        if self.floor and not figures:
            raise CheckpointError(
                f'the {name} finds nothing on the val set, so there is no figure to '
                'hold against the floor: check its checkpoint and input statistics '
                '(tools/inspect_distill.py shows them).'
            )
        for metric, least in self.floor.items():
            if metric not in figures:
                raise ConfigError(
                    f'TeacherEvalHook: floor names {metric!r}, but the evaluator gives '
                    f'{", ".join(figures)}.'
                )
            if not figures[metric] >= least:
                raise CheckpointError(
                    f'the {name} reaches {metric} {figures[metric]:.4g}, below the '
                    f'floor of {least}: check its checkpoint, its classes and its '
                    'input statistics (tools/inspect_distill.py shows them), or lower '
                    'the floor of TeacherEvalHook.'
                )


def _teachers(runner):
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(model, 'teachers', {})


def _key(name):
    return f'figures_of_{name}'


def _figures(runner, name):
    return runner.message_hub.runtime_info.get(_key(name))


def _show(figures):
    return ', '.join(f'{key} {value:.4g}' for key, value in figures.items())
