"""Shorter trainings of the same kind, and an account of what was shortened."""

import copy
from typing import Iterator, List, Optional, Tuple

from mmengine.config import Config, ConfigDict

from mmkd.configs import (
    datasets_of,
    load_config,
    name_of,
    student_of,
    teachers_of,
    type_of,
)
from mmkd.errors import ConfigError

from .shrink_epochs import shrink_epochs

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: Data sets that take ``num_classes`` and ``fraction``.
DATASETS = ('mmkd.CIFAR100',)


def shrink(
    cfg: Config,
    epochs: Optional[int] = None,
    classes: Optional[int] = None,
    fraction: float = 1.0,
    hold_out: float = 0.0,
) -> Tuple[Config, List[str]]:
    """Return a config of less training, with every time in proportion.

    Checkpoints of teachers are not touched, see
    :func:`mmkd.benchmark.slicing.slice_teachers`.

    Args:
        cfg (Config): A classifier's or a Distiller's; it is not changed.
        epochs (int, optional): Train for so many. Defaults to the config's.
        classes (int, optional): Keep the first classes only. Defaults to all.
        fraction (float): Keep the first part of each class's training images only.
            Defaults to 1.0.
        hold_out (float): Validate on the last part of each class's training images,
            which are not trained on, in place of the test images: to choose
            hyper-parameters by. Defaults to 0.0.

    Returns:
        tuple[Config, list[str]]: The config, and what was done: such as ``'20 of 100
        classes'``, ``'30 of 240 epochs'``, ``'50 % of the training images'``.

    Raises:
        ConfigError: The config cannot be shrunk so.
    """
    cfg, done = copy.deepcopy(cfg), []
    if classes is not None:
        done += _shrink_classes(cfg, classes)
    if epochs is not None:
        done += shrink_epochs(cfg, epochs)
    if not 0 < fraction <= 1:
        raise ConfigError(f'--fraction {fraction} is not above 0 and up to 1.')
    if fraction < 1:
        train = _reader(cfg, 'train_dataloader')
        if train.get('fraction', 1.0) != 1.0:
            raise ConfigError(
                f'--fraction: the config keeps {train.fraction} of the training images '
                'already; take that out.'
            )
        train.fraction = fraction
        done.append(f'{fraction * 100:g} % of the training images')
    return cfg, done + _hold_out(cfg, hold_out, fraction)


def _hold_out(cfg, hold_out, fraction):
    if not hold_out:
        return []
    if not 0 < hold_out < 1:
        raise ConfigError(f'--hold-out {hold_out} is not between 0 and 1.')
    train = _reader(cfg, 'train_dataloader')
    if fraction == 1:
        train.fraction = 1 - hold_out
    elif fraction + hold_out > 1:
        raise ConfigError(
            f'--fraction {fraction} and --hold-out {hold_out} overlap; their sum must '
            'be at most 1.'
        )
    for loader in LOADERS[1:]:
        if cfg.get(loader):
            _reader(cfg, loader).update(
                split=train.get('split', 'train'), fraction=hold_out, part='last'
            )
    return [f'validated on the last {hold_out * 100:g} % of the training images']


def _shrink_classes(cfg, classes):
    student = student_of(cfg.model)
    total = (student.get('head') or {}).get('num_classes')
    if total is None:
        raise ConfigError(
            f'--classes: the student ({type_of(student)}) has no head with '
            'num_classes to shrink.'
        )
    least = max([2, *_ranks(cfg)])
    if not least <= classes <= total:
        raise ConfigError(
            f'--classes {classes} must be from {least} (2, or the highest topk) to the '
            f'{total} of the config.'
        )
    if classes == total:
        return []
    for loader in LOADERS:
        if cfg.get(loader):
            _reader(cfg, loader).num_classes = classes
    student.head.num_classes = classes
    for preprocessor in (cfg, student):
        if 'num_classes' in (preprocessor.get('data_preprocessor') or {}):
            preprocessor.data_preprocessor.num_classes = classes
    for teacher in teachers_of(cfg.model).values():
        _shrink_teacher(teacher, classes)
    return [f'{classes} of {total} classes']


def _shrink_teacher(teacher, classes):
    if isinstance(teacher.config, str):
        whole = load_config(teacher.config)
        keys = ('default_scope', 'data_preprocessor', 'model')
        teacher.config = ConfigDict({k: whole[k] for k in keys if whole.get(k)})
    model = teacher.config if 'type' in teacher.config else teacher.config.model
    head = student_of(model).get('head') or {}
    if name_of(head) != 'LinearClsHead':
        raise ConfigError(
            f'--classes: the teacher has a head {type_of(head)}, of which no '
            'classes can be kept; that takes a LinearClsHead.'
        )
    head.num_classes = classes


def _ranks(cfg) -> Iterator[int]:
    """Give the k of all top-k that are measured."""
    evaluators = cfg.get('val_evaluator') or []
    evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
    for spec in evaluators:
        ranks = spec.get('topk', 1)
        yield from [ranks] if isinstance(ranks, int) else ranks


def _reader(cfg, loader):
    """Return the data set that a dataloader reads, if it can be shrunk."""
    datasets = datasets_of(cfg[loader])
    kinds = [type_of(dataset) for dataset in datasets]
    if len(kinds) != 1 or kinds[0] not in DATASETS:
        raise ConfigError(
            f'--classes, --fraction and --hold-out know {", ".join(DATASETS)} only, '
            f'but {loader} reads {" and ".join(kinds)}; leave them out.'
        )
    return datasets[0]
