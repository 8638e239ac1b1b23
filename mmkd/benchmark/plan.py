"""All trainings of a benchmark, checked before the first one begins."""

import copy
import hashlib
import json
from pathlib import Path
from typing import List, Optional, Sequence

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmkd.configs import load_config, teachers_of
from mmkd.engine.batch_check import check_batch_size
from mmkd.engine.data_check import SELF_MADE, check_data
from mmkd.errors import CheckpointError, ConfigError
from mmkd.files import read_json

from .cell import Cell
from .shrink import leaf_of, shrink
from .shrink_epochs import check_loop
from .slicing import digest, slice_teachers

USED = ('train_dataloader', 'val_dataloader')
#: What :func:`mmkd.benchmark.shrink.shrink` takes, and what shrinks nothing.
LIMITS = dict(epochs=None, classes=None, fraction=1.0, hold_out=0.0)
#: Keys of a config that do not change what is trained.
NEUTRAL = ('work_dir', 'launcher', 'resume', 'published', 'randomness.seed')


def plan(
    configs: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: Optional[dict] = None,
    **limits,
) -> List[Cell]:
    """Read, shrink and check every config.

    Args:
        configs (Sequence[str]): Paths of ``METHOD_TEACHER_STUDENT.py``.
        seeds (Sequence[int]): One training of each config for each.
        out (Path): Folder of the benchmark. Sliced teachers are written there.
        options (dict, optional): Values to overwrite in every config.
        **limits: Of :func:`mmkd.benchmark.shrink.shrink`.

    Returns:
        list[Cell]: Config by config, seed by seed.

    Raises:
        ConfigError: A config cannot be read, shrunk or benchmarked, two cells are the
            same, or ``out`` holds results of other settings.
        DataError: Data is missing.
        CheckpointError: A teacher's checkpoint is missing or cannot be sliced.
    """
    for what, given in (
        ('configs', [Path(path).stem for path in configs]),
        ('--seeds', list(seeds)),
    ):
        twice = [one for one in given if given.count(one) > 1]
        if twice:
            raise ConfigError(f'{what}: {twice[0]} is given twice; once is enough.')
    request = dict(dict(LIMITS, **limits), options=options)
    request = json.loads(json.dumps(request))  # as it is read again
    cells = []
    for path in configs:
        try:
            cfg, facts = _prepare(path, out, request)
        except (ConfigError, CheckpointError) as error:
            if path in str(error):
                raise
            raise type(error)(f'{path}: {error}') from None
        for seed in seeds:
            seeded = copy.deepcopy(cfg)
            seeded.randomness = dict(cfg.get('randomness') or {}, seed=seed)
            own = dict(facts, seed=seed)
            cells.append(Cell(facts['stem'], seed, out, seeded, own))
    _check_folder(out, cells, request)
    return cells


def config_hash(cfg: Config) -> str:
    """Return ten hexadecimal digits over all that decides what is trained.

    Keys of :data:`NEUTRAL` are left out, the seed among them, and the teachers'
    checkpoints count by what is in them.
    """
    cfg = copy.deepcopy(cfg)
    for teacher in teachers_of(cfg.model).values():
        if teacher.get('checkpoint'):
            teacher.checkpoint = digest(teacher.checkpoint)
    known = cfg.to_dict()
    for key in NEUTRAL:
        *outer, last = key.split('.')
        holder = known.get(outer[0]) or {} if outer else known
        holder.pop(last, None)
    if not known.get('randomness'):
        known.pop('randomness', None)
    text = json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _prepare(path, out, request):
    """Return a config as it is to be trained, and what the report says of it."""
    stem = Path(path).stem
    method, _, pair = stem.partition('_')
    if not method or not pair:
        raise ConfigError(
            f'{path}: a benchmarked config is named METHOD_TEACHER_STUDENT.py, as in '
            'kd_resnet56_resnet20.py.'
        )
    cfg = load_config(path, request['options'])
    for key in ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator'):
        if not cfg.get(key):
            raise ConfigError(f'a benchmark needs {key} in the config.')
    check_loop(cfg)
    _check_logs(cfg)
    limits = {key: request[key] for key in LIMITS}
    cfg, reduced = shrink(cfg, **limits)
    check_data(cfg, USED)
    _fetch(cfg)
    check_batch_size(cfg)
    _check_teachers(cfg)
    if request['classes'] and any('classes' in text for text in reduced):
        slice_teachers(cfg, request['classes'], out / 'teachers')
    facts = dict(
        stem=stem,
        method=method,
        pair=pair,
        config=config_hash(cfg),
        published=dict(cfg.get('published') or {}),
        reduced=reduced,
        request=request,
        dataset=_dataset(cfg),
        max_epochs=cfg.train_cfg.max_epochs,
    )
    return cfg, facts


def _fetch(cfg):
    """Let what downloads itself do so once, before trainings side by side do."""
    for loader in USED:
        spec = leaf_of(cfg, loader)
        downloads = str(spec.get('type')).split('.')[-1] in SELF_MADE
        if downloads and not Path(spec.get('data_root') or '.').is_dir():
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
                DATASETS.build(spec)


def _check_logs(cfg):
    backends = (cfg.get('visualizer') or {}).get('vis_backends')
    kinds = [str(spec.get('type')).split('.')[-1] for spec in backends or []]
    if backends is not None and 'LocalVisBackend' not in kinds:
        raise ConfigError(
            "visualizer.vis_backends must contain dict(type='LocalVisBackend'): the "
            'table is made of what it writes.'
        )


def _check_teachers(cfg):
    for teacher in teachers_of(cfg.model).values():
        path = teacher.get('checkpoint')
        if path and '://' not in path and not Path(path).is_file():
            raise CheckpointError(
                f"the teacher's checkpoint {path} does not exist; train or convert the "
                'teacher first, or correct its path.'
            )


def _check_folder(out, cells, request):
    """Never mix: neither in a cell's folder, nor in a row, nor in a table."""
    wanted = {cell.stem: cell.facts['config'] for cell in cells}
    for path in sorted(out.glob('*/seed*')):
        found = read_json(path / 'cell.json')
        if not found:
            if any(path.glob('*.pth')) or any(path.glob('*/vis_data')):
                raise ConfigError(
                    f'{path} holds a training that is not of a benchmark; delete that '
                    'folder or give another --out.'
                )
            continue
        if found['request'] != request:
            was = {k: v for k, v in found['request'].items() if v != request.get(k)}
            now = {k: request.get(k) for k in was}
            raise ConfigError(
                f'{path} was made with {was}, wanted is {now}: one table has one '
                'protocol; give another --out or delete that folder.'
            )
        config = wanted.get(path.parent.name, found['config'])
        if found['config'] != config:
            raise ConfigError(
                f'{path} holds a training of the config {found["config"]}, wanted is '
                f'{config}: the config or its teacher has changed; give another --out '
                'or delete that folder.'
            )


def _dataset(cfg):
    dataset = leaf_of(cfg, 'val_dataloader')
    split = f', split {dataset.split}' if dataset.get('split') else ''
    split += ', part last' if dataset.get('part') == 'last' else ''
    return f'{dataset.get("type")}{split}'
