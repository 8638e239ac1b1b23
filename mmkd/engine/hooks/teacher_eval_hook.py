"""Evaluate the teacher once, before it teaches."""

from typing import Dict, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmkd.configs import load_config, teachers_of
from mmkd.engine.bare_model import bare_model
from mmkd.errors import CheckpointError, ConfigError
from mmkd.models.guards import num_classes_in, other_classes
from mmkd.models.randomness import isolated_rng
from mmkd.provenance import fingerprint
from mmkd.registry import HOOKS


@HOOKS.register_module()
class TeacherEvalHook(Hook):
    """Evaluates each teacher on the val set before training, and remembers.

    The figures are printed beside the student's after each validation, and kept in
    the checkpoint with what they are of: the network with its weights, the val set and
    its evaluator. A resumed run evaluates again only where one of these is another, or
    where the Runner has no config that says so.
    A teacher below a floor stops the run, a resumed one too: it would be a broken one,
    such as with a wrong checkpoint or wrong input statistics. One of other classes than
    the val set's, of which features can be compared, is not evaluated.

    Args:
        floor (dict[str, float], optional): Least value by metric, such as
            ``{'coco/bbox_mAP': 0.35}``. Defaults to none.

    Raises:
        CheckpointError: A teacher is below the floor.
        ConfigError: There is no val set, no such metric, or a floor for a teacher that
            cannot be evaluated.
    """

    priority = 'LOW'

    def __init__(self, floor: Optional[Dict[str, float]] = None) -> None:
        self.floor = dict(floor or {})

    def before_train(self, runner) -> None:
        """Evaluate, unless a resumed run has done so, and hold against the floor."""
        for name, teacher in _teachers(runner).items():
            if self._is_foreign(runner, name, teacher):
                continue
            subject = _subject(runner, name, teacher)
            if not self._known(runner, name, subject):
                figures = self._measure(runner, name, teacher)
                known = dict(of=subject, figures=figures)
                runner.message_hub.update_info(_key(name), known)
            self._check(_figures(runner, name), name)

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        """Print the student's figures beside its teachers'."""
        for name in _teachers(runner):
            figures = _figures(runner, name)
            both = [key for key in metrics or {} if key in figures]
            rows = (f'{key} {metrics[key]:.4g} / {figures[key]:.4g}' for key in both)
            if both:
                runner.logger.info(f'student / {name}: {", ".join(rows)}')

    def _is_foreign(self, runner, name, teacher):
        """Whether it knows other classes than the val set, which is logged."""
        detail = _other_classes(runner, teacher)
        if detail is None:
            return False
        what = f'the {name} cannot be evaluated on the val set: {detail}'
        if self.floor:
            raise ConfigError(
                f'{what}; take the floor, or TeacherEvalHook, out, or use a teacher of '
                'this data set.'
            )
        runner.logger.info(f'{what}.')
        return True

    def _known(self, runner, name, subject):
        """Whether all processes have the figures, of this subject, that are needed."""
        of = runner.message_hub.runtime_info.get(_key(name), {}).get('of')
        known = (
            None not in (of, subject)
            and subject.items() <= of.items()
            and set(self.floor) <= set(_figures(runner, name))
        )
        unknown = torch.tensor(int(not known))
        all_reduce(unknown, 'max')
        return not unknown

    def _measure(self, runner, name, teacher):
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
        return figures

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
    return getattr(bare_model(runner), 'teachers', {})


def _other_classes(runner, teacher):
    """Say in what classes differ; None where they do not, or nobody knows."""
    dataset = getattr(getattr(runner.val_loop, 'dataloader', None), 'dataset', None)
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    detail = other_classes(teacher.classes, classes, 'the val set')
    numbers = num_classes_in(teacher.model), num_classes_in(bare_model(runner).student)
    if detail is None and None not in numbers and numbers[0] != numbers[1]:
        return 'it knows {} classes and the student {}'.format(*numbers)
    return detail


def _subject(runner, name, teacher):
    """Digests of what figures are of; None where there is no config that says it.

    A network that answers alike has the same one, whatever its files are called.
    """
    spec = teachers_of(runner.cfg.get('model') or {}).get(name)
    if spec is None:
        return None
    about = spec.get('inference'), _network_in(spec['config'])
    subject = dict(network=fingerprint(about, [teacher.model]))
    if runner.val_loop is not None:
        # Not how many images at once, or read by how many workers.
        loader = runner.cfg.get('val_dataloader') or {}
        about = loader.get('dataset'), runner.cfg.get('val_evaluator')
        subject['val'] = fingerprint(about)
    return subject


def _network_in(config):
    """Return what a network is built of, which no weight says all of."""
    cfg = load_config(config) if isinstance(config, str) else config
    if 'type' in cfg:
        return cfg
    return [cfg.get(key) for key in ('model', 'data_preprocessor', 'default_scope')]


def _key(name):
    return f'figures_of_{name}'


def _figures(runner, name):
    return runner.message_hub.runtime_info.get(_key(name), {}).get('figures', {})


def _show(figures):
    return ', '.join(f'{key} {value:.4g}' for key, value in figures.items())
