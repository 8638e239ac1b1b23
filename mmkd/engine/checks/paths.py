"""Files and folders that a config's data sets name."""

from pathlib import Path
from typing import Sequence

from mmengine.config import Config

from mmkd.configs import datasets_of, name_of, type_of
from mmkd.errors import DataError

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


def _check(spec, loader):
    kind = type_of(spec)
    root = spec.get('data_root') or ''
    if _is_self_made(spec) and spec.get('download') is None:
        # With all data sets it loads torch, for which --help does not wait.
        from mmkd.datasets.download import check_download

        # MNIST's stock config says it there.
        folder = root or spec.get('data_prefix')
        if isinstance(folder, str):
            check_download(str(kind).split('.')[-1], folder)
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
    for spec in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        ann_file = spec.get('ann_file')
        if ann_file and not _there('', ann_file):
            raise DataError(
                f'{name}: the annotation file {ann_file!r} of {type_of(spec)} is '
                f'not there; set --cfg-options {name}.ann_file=PATH.'
            )


def _is_self_made(spec):
    return name_of(spec) in SELF_MADE


def _there(root, path):
    return '://' in path or (Path(root) / path).exists()
