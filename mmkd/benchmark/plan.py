"""All trainings of a benchmark, checked before the first one begins."""

import copy
import json
from pathlib import Path
from typing import List, Optional, Sequence

from mmkd.configs import (
    datasets_of,
    is_distiller,
    load_model_config,
    name_of,
    teachers_of,
    type_of,
)
from mmkd.engine.checks import check_batch_size, check_data
from mmkd.engine.checks.opening import check_contents
from mmkd.errors import CheckpointError, ConfigError, about

from .cell import Cell
from .hashes import config_hash, student_hash
from .loop import Loop
from .metric import metric_of
from .mixing import check_folder
from .shrink import shrink
from .slicing import slice_teachers

USED = ('train_dataloader', 'val_dataloader')
#: What :func:`mmkd.benchmark.shrink.shrink` takes, and what shrinks nothing.
LIMITS = dict(epochs=None, classes=None, fraction=1.0, hold_out=0.0)
#: Of ``benchmark`` in a config, what a table says of it.
SETTINGS = ('method', 'pair', 'metric')


def plan(
    configs: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: Optional[dict] = None,
    **limits,
) -> List[Cell]:
    """Read, shrink and check every config.

    Args:
        configs (Sequence[str]): Paths. A row is named by the method and the pair of
            networks that ``benchmark=dict(method=..., pair=...)`` in the config says,
            or else the file's name, ``METHOD_TEACHER_STUDENT.py``; of a name without
            ``_``, that is the method and the folder's name is the pair.
        seeds (Sequence[int]): One training of each config for each.
        out (Path): Folder of the benchmark. Sliced teachers are written there.
        options (dict, optional): Values to overwrite in every config.
        **limits: Of :func:`mmkd.benchmark.shrink.shrink`.

    Returns:
        list[Cell]: Config by config, seed by seed.

    Raises:
        ConfigError: A config cannot be read, shrunk or benchmarked, two cells are the
            same, or ``out`` holds results of other settings.
        DataError: Data is missing, or a sample of it cannot be read.
        CheckpointError: A teacher's checkpoint is missing or cannot be sliced.
    """
    for what, given in (
        ('configs', [Path(path).stem for path in configs]),
        ('--seeds', list(seeds)),
    ):
        twice = [each for each in given if given.count(each) > 1]
        if twice:
            raise ConfigError(f'{what}: {twice[0]} is given twice; once is enough.')
    request = dict(dict(LIMITS, **limits), options=options)
    request = json.loads(json.dumps(request))  # as it is read again
    cells = []
    for path in configs:
        with about(path):
            cfg, facts = _prepare(path, out, request)
        for seed in seeds:
            seeded = copy.deepcopy(cfg)
            seeded.randomness = dict(cfg.get('randomness') or {}, seed=seed)
            own = dict(facts, seed=seed)
            cells.append(Cell(facts['stem'], seed, out, seeded, own))
    check_folder(out, cells, request)
    check_contents((cell.cfg for cell in cells if not cell.result()), USED)
    return cells


def _prepare(path, out, request):
    """Return a config as it is to be trained, and what the report says of it."""
    cfg = load_model_config(path, request['options'])
    for key in ('train_dataloader', 'val_dataloader', 'val_evaluator'):
        if not cfg.get(key):
            raise ConfigError(f'a benchmark needs {key} in the config.')
    method, pair = _name(path, cfg)
    metric = metric_of(cfg)
    limits = {key: request[key] for key in LIMITS}
    cfg, reduced = shrink(cfg, **limits)
    loop = Loop.of(cfg)
    _prepare_logs(cfg, loop)
    check_data(cfg, USED)
    check_batch_size(cfg)
    _check_teachers(cfg)
    if request['classes'] and any('classes' in text for text in reduced):
        slice_teachers(cfg, request['classes'], out / 'teachers')
    facts = dict(
        stem=Path(path).stem,
        method=method,
        pair=pair,
        alone=not is_distiller(cfg.model),
        student=student_hash(cfg),
        metric=metric.key,
        config=config_hash(cfg),
        published=dict(cfg.get('published') or {}),
        reduced=reduced,
        request=request,
        dataset=_dataset(cfg),
        unit=loop.unit,
        length=loop.length,
    )
    return cfg, facts


def _name(path, cfg):
    """Return the method and the pair of networks of a config."""
    own = cfg.get('benchmark') or {}
    unknown = [key for key in own if key not in SETTINGS]
    if unknown:
        raise ConfigError(
            f'benchmark.{unknown[0]} is unknown; it takes {", ".join(SETTINGS)}.'
        )
    method, _, pair = Path(path).stem.partition('_')
    if not method or not pair:
        method, pair = Path(path).stem, Path(path).resolve().parent.name
    return own.get('method', method), own.get('pair', pair)


def _prepare_logs(cfg, loop):
    """See to it that the figures of each validation will be in the log."""
    backends = (cfg.get('visualizer') or {}).get('vis_backends')
    kinds = [name_of(spec) for spec in backends or []]
    if backends is not None and 'LocalVisBackend' not in kinds:
        raise ConfigError(
            "visualizer.vis_backends must contain dict(type='LocalVisBackend'): the "
            'table is made of what it writes.'
        )
    hooks = cfg.get('default_hooks') or {}
    logger = hooks.get('logger', dict(type='LoggerHook'))
    if logger is None:
        raise ConfigError(
            'default_hooks.logger is None; take that out: the table is made of what '
            'it logs.'
        )
    # Of a loop by iterations, MMEngine would log all validations as of epoch 0.
    by_epoch = loop.unit == 'epoch'
    if logger.get('log_metric_by_epoch', True) != by_epoch:
        logger = dict(logger, log_metric_by_epoch=by_epoch)
        cfg.default_hooks = dict(hooks, logger=logger)


def _check_teachers(cfg):
    for teacher in teachers_of(cfg.model).values():
        path, config = teacher.get('checkpoint'), teacher.get('config')
        if path and '://' not in path and not Path(path).is_file():
            how = 'train or convert the teacher first'
            if isinstance(config, str) and '::' not in config:
                folder = Path(path).parent
                how = f'make it with python tools/train.py {config} --work-dir {folder}'
            raise CheckpointError(
                f"the teacher's checkpoint {path} does not exist; {how}, or correct "
                'its path.'
            )


def _dataset(cfg):
    """Name what is validated on."""
    return ' and '.join(map(_described, datasets_of(cfg.val_dataloader)))


def _described(spec):
    split, file = spec.get('split'), spec.get('ann_file')
    parts = [type_of(spec)]
    parts += [f'split {split}'] if split else []
    parts += [Path(file).name] if file and not split else []
    parts += ['part last'] if spec.get('part') == 'last' else []
    return ', '.join(parts)
