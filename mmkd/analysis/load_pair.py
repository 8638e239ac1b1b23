"""A pair of networks and its images from the command line."""

import argparse
from pathlib import Path

from mmengine.config import Config

from mmkd.configs import load_model_config, teachers_of
from mmkd.engine import arguments
from mmkd.errors import ConfigError
from mmkd.transfer import TARGETS, Network, load_target
from mmkd.transfer.entry import name_of
from mmkd.transfer.features.cache import CACHE

from .pair import Pair

#: Where results lie by default, in a folder named after the student.
OUT = Path('work_dirs/analysis')


def pair_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the arguments that :func:`load_pair` reads."""
    parser = arguments.parser(description)
    add, whole = parser.add_argument, arguments.whole
    add('config', metavar='CONFIG', help="the student's; a Distiller's has the teacher")
    add('checkpoint', metavar='CHECKPOINT', help="the student's")
    add('--teacher-config', metavar='CONFIG', help='another teacher')
    add('--teacher-checkpoint', metavar='CHECKPOINT', help="the teacher's")
    add('--names', nargs=2, metavar=('STUDENT', 'TEACHER'), help='for the pictures')
    add('--dataset', required=True, metavar='NAME', help=', '.join(TARGETS))
    add('--data-root', metavar='PATH', help="the data set's folder")
    add(
        '--split',
        choices=('train', 'val'),
        default='val',
        help='images of it (val: test where there is one)',
    )
    add('--no-check-md5', action='store_true', help='take other files of CIFAR, too')
    add('--input-size', type=whole(), help="pixels; by default each network's own")
    add('--limit', type=whole(), help="most images, with each class's share")
    add('--cache', type=Path, default=Path(CACHE), help='folder of the features')
    add('--out', type=Path, help=f'folder to write, default {OUT}/STUDENT')
    arguments.add_options(parser, "of the student's config")
    return parser


def load_pair(args: argparse.Namespace) -> Pair:
    """Build student and teacher, and load a part of a data set.

    Also sets ``args.out`` where it was not given.

    Args:
        args (Namespace): Of :func:`pair_parser`.

    Raises:
        ConfigError: There is no teacher, or see :class:`Network` and
            :func:`load_target`.
        CheckpointError: See :class:`Network`.
        DataError: See :func:`load_target`.
    """
    cfg = load_model_config(args.config, args.cfg_options)
    config, checkpoint, prefix = _teacher(args, cfg)
    names = args.names or (Path(args.config).stem, name_of(checkpoint))
    target = load_target(args.dataset, args.data_root, check_md5=not args.no_check_md5)
    size = args.input_size
    student = Network(cfg, args.checkpoint, names[0], input_size=size)
    teacher = Network(config, checkpoint, names[1], size, prefix=prefix)
    args.out = args.out or OUT / student.name
    images = target.val if args.split == 'val' else target.train
    data = f'{target.name} ({images.split})'
    return Pair(
        student=student,
        teacher=teacher,
        dataset=images,
        classes=target.classes,
        data=data,
        cache=args.cache,
        limit=args.limit,
    )


def _teacher(args, cfg):
    """Return the teacher's config, checkpoint and prefix: given, or the Distiller's."""
    config, checkpoint = args.teacher_config, args.teacher_checkpoint
    prefix = None
    teachers = list(teachers_of(cfg.model).values())
    if config is None and len(teachers) == 1:
        config = teachers[0]['config']
        if checkpoint is None:
            checkpoint, prefix = map(teachers[0].get, ('checkpoint', 'prefix'))
    if config is None or checkpoint is None:
        raise ConfigError(
            f'{args.config} has no single teacher with a checkpoint to compare with; '
            'give --teacher-config and --teacher-checkpoint.'
        )
    if not isinstance(config, dict):
        return config, checkpoint, prefix
    whole = dict(model=config) if 'type' in config else dict(config)
    # An inline config says nothing of images: the teacher saw the student's.
    for key in ('default_scope', 'test_dataloader'):
        if key in cfg:
            whole.setdefault(key, cfg[key])
    return Config(whole), checkpoint, prefix
