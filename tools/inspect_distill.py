#!/usr/bin/env python
"""Show what a config will distil, and fail as training would, before training."""

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmkd.configs import build_model, is_distiller, load_model_config, type_of
from mmkd.engine import arguments
from mmkd.engine.checks import check_batch_size, check_data
from mmkd.engine.launch import run
from mmkd.errors import ConfigError

if TYPE_CHECKING:
    from mmkd.models import Distiller


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument('config', help='path, or package::path')
    parser.add_argument('--no-data', action='store_true', help='do not look for data')
    arguments.add_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_model_config(args.config, args.cfg_options)
    if not is_distiller(cfg.model):
        raise ConfigError(
            f'{args.config}: the model is {type_of(cfg.model)}, not mmkd.Distiller, so '
            'nothing is distilled; give a config of a Distiller.'
        )
    if not args.no_data:
        check_data(cfg, ('train_dataloader', 'val_dataloader'))
    check_batch_size(cfg)
    show(build_model(cfg))


def show(distiller: 'Distiller') -> None:
    """Print a built Distiller: models, losses, shapes, adapters and schedules."""
    console = Console(width=None if Console().is_terminal else 160)
    models = Table('model', 'type', 'parameters', 'checkpoint', 'input', title='Models')
    student = distiller.student
    models.add_row('student', *_row(student, 'its own init_cfg', student))
    for name, teacher in distiller.teachers.items():
        source = teacher.checkpoint or 'none: random weights'
        source += f', {teacher.prefix}' if teacher.prefix else ''
        kind, size, source, stats = _row(teacher.model, source, teacher.model)
        same = (
            'as the student' if teacher.renormalise.same else f'renormalised: {stats}'
        )
        if teacher.input_size is not None:
            same += f', resized to {teacher.input_size[0]} x {teacher.input_size[1]}'
        if teacher.renormalise.divisor > 1:
            same += f', padded to multiples of {teacher.renormalise.divisor}'
        models.add_row(name, kind, size, source, same)
    console.print(models)
    losses = Table(
        'loss', 'type', 'compares', 'student', 'teacher', 'adapter', 'weight'
    )
    losses.title = 'Losses (shapes of a dry run on two made-up images)'
    for term in distiller.terms:
        for level, (shape, teacher_shape) in enumerate(term.shapes):
            first = level == 0
            losses.add_row(
                term.name if first else '',
                type(term.loss).__name__ if first else '',
                f'{term.pairing.describe()} ({term.teacher})' if first else '',
                'x'.join(map(str, shape)),
                'x'.join(map(str, teacher_shape)),
                _adapter(term.adapters[level]) if shape else '',
                str(term.schedule) if first else '',
            )
    console.print(losses)
    for term in distiller.terms:
        if term.loss.extra_repr():
            console.print(f'{term.name} {term.loss.extra_repr()}.')
    extra = sum(p.numel() for p in distiller.distill.parameters())
    console.print(
        f'Trained beside the student, dropped at export: {extra:,} parameters.'
    )


def _row(model, checkpoint, owner):
    from mmkd.models.renormalise import InputStats

    size = sum(parameter.numel() for parameter in model.parameters())
    stats = InputStats.of(owner.data_preprocessor)
    return type(model).__name__, f'{size:,}', checkpoint, str(stats)


def _adapter(adapter):
    from torch import nn

    if isinstance(adapter, nn.Identity):
        return '-'
    size = sum(parameter.numel() for parameter in adapter.parameters())
    return f'{type(adapter).__name__}, {size:,}'


if __name__ == '__main__':
    run(main)
