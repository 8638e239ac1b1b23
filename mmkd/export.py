"""A distilled student as a stock model: its config, with stock parts for mmkd's."""

import copy
from typing import Iterator, List, NamedTuple

from mmengine.config import Config

from mmkd.configs import student_alone, type_of
from mmkd.options import runner_keys

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: Data sets that mmpretrain has too, the arguments that they have beyond it with the
#: values with which they are the same, and the size of their images.
DATASETS = ('CIFAR10', 'CIFAR100')
ALIKE = dict(check_md5=True, num_classes=None, fraction=1.0, part='first')
SIZE = 32
#: Preprocessors that are ClsDataPreprocessor but in training, where they crop and flip.
PREPROCESSORS = ('CropFlipPreprocessor', 'WeakStrongPreprocessor')
TRAINING = dict(padding=4, flip_prob=0.5, num_ops=2, magnitude=10)
#: Variables of shipped configs that are about the distillation.
VARIABLES = ('student', 'teacher', 'teachers', 'published')


class StockConfig(NamedTuple):
    """What :func:`stock_config` makes.

    Args:
        config (Config): Loads without mmkd where ``left`` is empty.
        left (list[str]): What of mmkd is in it still, as it has no stock counterpart.
        changed (list[str]): What a further training would do otherwise, as sentences.
    """

    config: Config
    left: List[str]
    changed: List[str]


def stock_config(cfg: Config) -> StockConfig:
    """Make the config of a student that stands alone, to test it or to train it on.

    Hooks of mmkd are left out; its validation loop, data preprocessors, and the data
    sets that mmpretrain has as well become the stock ones. All else of mmkd, such as a
    backbone, stays, and ``custom_imports`` has MMEngine find it.

    Args:
        cfg (Config): A Distiller's or a stock model's; it is not changed.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model = student_alone(cfg.model)
    for key in [key for key in cfg if key not in runner_keys()]:
        if key in VARIABLES or any(_kinds(cfg[key])):
            cfg.pop(key)
    cfg.load_from, cfg.resume = None, False
    _leave_hooks(cfg)
    _leave_names(cfg)
    if _is(cfg.get('val_cfg'), 'AccuracyValLoop'):
        for key in ('type', 'topk'):
            cfg.val_cfg.pop(key, None)
    changed = _exchange_data(cfg)
    left = sorted(set(_kinds(cfg._cfg_dict)))
    _set_imports(cfg, bool(left))
    return StockConfig(cfg, left, changed)


def _leave_hooks(cfg):
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [hook for hook in hooks if not _kind(hook)]
    # MMEngine has a hook of its own for each of these that a Runner needs.
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if _kind(hook)]:
        hooks.pop(name)


def _leave_names(cfg):
    """Let the optimizer's settings by name speak of the student's parameters."""
    params = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    if params.get('custom_keys'):
        params.custom_keys = {
            key[len('student.') :] if key.startswith('student.') else key: value
            for key, value in params.custom_keys.items()
            if not key.startswith('distill.')
        }


def _exchange_data(cfg) -> List[str]:
    """Exchange preprocessor and data sets; return what changes in training."""
    owner = cfg if cfg.model.get('data_preprocessor') is None else cfg.model
    spec = owner.get('data_preprocessor')
    changed, steps = [], []
    if _is(spec, 'WeakStrongPreprocessor'):
        changed.append('there is no strong view of the images')
    if _is(spec, *PREPROCESSORS):
        steps = _as_steps({key: spec.pop(key, TRAINING[key]) for key in TRAINING})
        spec.type = 'mmpretrain.ClsDataPreprocessor'
    for name in LOADERS[1:]:
        _exchange_loader(cfg, name, [])
    if not _exchange_loader(cfg, LOADERS[0], steps) and steps and cfg.get(LOADERS[0]):
        changed.append(
            'images are cropped and flipped no more: put RandomCrop and RandomFlip '
            'into the pipeline of train_dataloader'
        )
    return changed


def _as_steps(views) -> List[dict]:
    """Describe what crops and flips batches as steps of a pipeline."""
    crop = dict(type='RandomCrop', crop_size=SIZE, padding=views['padding'])
    flip = dict(type='RandomFlip', prob=views['flip_prob'], direction='horizontal')
    return [crop] * (views['padding'] > 0) + [flip] * (views['flip_prob'] > 0)


def _exchange_loader(cfg, name: str, steps: List[dict]) -> bool:
    """Give a loader of whole batches a pipeline that makes the same ones."""
    loader = cfg.get(name)
    spec = (loader or {}).get('dataset')
    if cfg.get('default_scope') != 'mmpretrain' or not _is(spec, 'ImageTensors'):
        return False
    inner = spec.dataset
    if inner.type not in DATASETS and not _is(inner, *DATASETS):
        return False
    if all(inner.get(key, value) == value for key, value in ALIKE.items()):
        for key in ALIKE:
            inner.pop(key, None)
        inner.type = inner.type.rpartition('.')[2]
    inner.pipeline = [*steps, dict(type='PackInputs')]
    loader.dataset = inner
    loader.collate_fn = dict(type='default_collate')
    return True


def _set_imports(cfg, needed: bool):
    spec = cfg.get('custom_imports') or dict(imports=[], allow_failed_imports=False)
    names = spec['imports']
    names = [names] if isinstance(names, str) else list(names)
    has = [name for name in names if name.split('.')[0] == 'mmkd']
    if needed:
        names = names if has else ['mmkd', *names]
    else:
        names = [name for name in names if name not in has]
    if names:
        cfg.custom_imports = dict(spec, imports=names)
    else:
        cfg.pop('custom_imports', None)


def _kind(spec) -> str:
    """Name a config's type of mmkd, as ``mmkd.NAME``; empty if it is another's."""
    kind = type_of(spec) if isinstance(spec, dict) else ''
    return kind if kind.startswith('mmkd.') else ''


def _is(spec, *names: str) -> bool:
    return _kind(spec) in [f'mmkd.{name}' for name in names]


def _kinds(spec) -> Iterator[str]:
    """Give every type of mmkd in a nested config."""
    if _kind(spec):
        yield _kind(spec)
    parts = list(spec.values()) if isinstance(spec, dict) else spec
    if isinstance(parts, (list, tuple)):
        for part in parts:
            yield from _kinds(part)
