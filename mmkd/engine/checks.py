"""Finding what a training lacks before anything is built."""

from pathlib import Path
from typing import Sequence

from mmengine.config import Config

from mmkd.configs import datasets_of, is_distiller
from mmkd.errors import ConfigError, DataError
from mmkd.registry import FAMILIES, MODELS, PAIRINGS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')

#: These make or download their files.
SELF_MADE = ('DigitsDataset', 'CIFAR10', 'CIFAR100', 'MNIST', 'FashionMNIST')


def check_data(cfg: Config, loaders: Sequence[str] = LOADERS) -> None:
    """Check that the files and folders that a config's data sets name are there.

    Only local paths are looked at, and not those of :data:`SELF_MADE` data sets.

    Args:
        cfg (Config): A config with dataloaders.
        loaders (Sequence[str]): Keys of those to check.

    Raises:
        DataError: One is missing.
    """
    for loader in loaders:
        datasets = datasets_of(cfg.get(loader))
        for dataset in datasets:
            _check(dataset, loader)
        if not any(map(_is_self_made, datasets)):
            _check_evaluator(cfg, loader.replace('dataloader', 'evaluator'))


def check_batch_size(cfg: Config) -> None:
    """Refuse batches of one for losses that compare the samples of a batch.

    Where there are many rows of one image nothing is refused.

    Args:
        cfg (Config): A Distiller's config, or any other, which passes.

    Raises:
        ConfigError: Such a loss would have nothing to compare.
    """
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    if batch != 1 or not is_distiller(cfg.model):
        return
    for name, term in (cfg.model.get('losses') or {}).items():
        inner = term
        while 'loss' in inner:  # a wrapper compares what the loss inside does
            inner = inner['loss']
        kind = str(inner.get('type')).split('.')[-1]
        over_batch = getattr(MODELS.get(kind), 'over_batch', False)
        alone = not inner.get('sync_stats') and not _many_rows(term.get('on'))
        if over_batch and alone:
            raise ConfigError(
                f'{name}: {kind} compares the samples of a batch with each other, but '
                'train_dataloader.batch_size is 1; use at least 2, or in a distributed '
                'run sync_stats=True where the loss has it.'
            )


def _many_rows(on) -> bool:
    """Whether what ``on=`` names gives many rows of one image."""
    from mmkd.models.families import Family  # noqa: F401  registers them

    if isinstance(on, dict):
        on = on.get('pairing', on.get('student'))
    names = on if isinstance(on, (list, tuple)) else [str(on)]
    late = [part for kind in FAMILIES.module_dict.values() for part in kind.late_parts]
    return all(
        getattr(PAIRINGS.get(name), 'many_rows', False) or name.split('.')[0] in late
        for name in names
    )


def _check(spec, loader):
    kind = spec.get('type')
    root = spec.get('data_root') or ''
    if '://' in root or _is_self_made(spec):
        return
    if root and not Path(root).is_dir():
        raise DataError(
            f'{loader}: the data root {root!r} of {kind} is no folder here '
            f'({Path(root).absolute()}); put the data there, or set '
            f'--cfg-options {loader}.dataset.data_root=PATH.'
        )
    ann_file = spec.get('ann_file')
    if ann_file and not _there(root, ann_file):
        raise DataError(
            f'{loader}: the annotation file {ann_file!r} of {kind} is not in '
            f'{root or "."!r}; check {loader}.dataset.ann_file.'
        )
    prefix = spec.get('data_prefix') or {}
    prefix = prefix if isinstance(prefix, dict) else dict(img_path=prefix)
    for key, folder in prefix.items():
        if isinstance(folder, str) and folder and not _there(root, folder):
            raise DataError(
                f'{loader}: the folder {folder!r} ({key}) of {kind} is not in '
                f'{root or "."!r}; check {loader}.dataset.data_prefix.'
            )


def _check_evaluator(cfg, name):
    evaluators = cfg.get(name) or []
    for spec in evaluators if isinstance(evaluators, list) else [evaluators]:
        ann_file = spec.get('ann_file')
        if ann_file and not _there('', ann_file):
            raise DataError(
                f'{name}: the annotation file {ann_file!r} of {spec.get("type")} is '
                f'not there; set --cfg-options {name}.ann_file=PATH.'
            )


def _is_self_made(spec):
    return str(spec.get('type')).split('.')[-1] in SELF_MADE


def _there(root, path):
    return '://' in path or (Path(root) / path).exists()
