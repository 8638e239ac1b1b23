"""Opening the data of a training: what cannot be read or learned from is said first."""

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterable, Iterator, Sequence

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmkd.configs import datasets_of, student_of, type_of
from mmkd.construct import build_from
from mmkd.errors import DataError, MMKDError, explained, first_line
from mmkd.models.randomness import isolated_rng

from .batches import check_batches
from .classes import check_classes, check_same_classes
from .coco_file import fault_of
from .images import Images, empty_image, reads_files
from .labels import Labels, num_classes_of
from .leaves import infos_of, is_stock, leaves_of, packs, sample_of, sources_of
from .samples import check_sample

#: Functions, the Runner's and one here, that open data.
OPENING = {'build_dataloader', 'check_contents'}
ADVICE = 'check its data_root, ann_file, data_prefix and pipeline'


def open_data(runner: Runner, modes: Sequence[str] = ('train', 'val')) -> None:
    """Build the loops of a Runner with their data, and look at what is in them.

    Classes and labels are looked at in all annotations, which takes seconds for COCO;
    of the images a few are opened.

    Args:
        runner (Runner): One that did not begin yet.
        modes (Sequence[str]): Those to open, of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        DataError: Something cannot be read, is not there, has nothing to learn from, or
            would be learned under another name.
    """
    datasets = {}
    for mode in modes:
        with _opened(runner.cfg, f'{mode}_dataloader'):
            loop = getattr(runner, f'{mode}_loop')
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if dataset is not None:
            datasets[f'{mode}_dataloader'] = dataset
    _look(runner.cfg, datasets)
    if 'train_dataloader' in datasets:
        check_batches(runner)


def check_contents(
    cfgs: Iterable[Config],
    loaders: Sequence[str] = ('train_dataloader', 'val_dataloader'),
) -> None:
    """Build the data sets of configs, and look at what is in them.

    As :func:`open_data` does, without a Runner; data that several configs share are
    looked at once.

    Args:
        cfgs (Iterable[Config]): With these loaders and a model.
        loaders (Sequence[str]): Keys of those to look at.

    Raises:
        DataError: See :func:`open_data`.
    """
    known = []
    for cfg in cfgs:
        specs = {loader: cfg[loader].dataset for loader in loaders if cfg.get(loader)}
        asked = specs, num_classes_of(student_of(cfg.model))
        if asked in known:
            continue
        known.append(asked)
        datasets = {}
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            for loader, spec in specs.items():
                with _opened(cfg, loader):
                    datasets[loader] = build_from(DATASETS, spec)
                    getattr(datasets[loader], 'full_init', int)()
        _look(cfg, datasets)


@contextmanager
def reading(runner: Runner) -> Iterator[None]:
    """Make one sentence of what fails in a DataLoader while a Runner trains or tests.

    Raises:
        DataError: Naming the image, where one is missing or empty.
    """
    try:
        yield
    except MMKDError:
        raise
    except Exception as error:
        if not _is_of_loader(error):
            raise
        loops = (getattr(runner, f'_{mode}_loop') for mode in ('train', 'val', 'test'))
        loaders = (getattr(loop, 'dataloader', None) for loop in loops)
        datasets = [loader.dataset for loader in loaders if loader is not None]
        path = next(filter(None, map(empty_image, datasets)), None)
        if path is not None:
            raise DataError(
                f'{path} is missing or empty; fetch or unpack it again, or take it out '
                'of the annotations.'
            ) from error
        raise DataError(
            f'a sample cannot be prepared ({_cause(error)}); look at its image, its '
            'annotation and the pipeline.'
        ) from error


def _look(cfg: Config, datasets: Dict[str, Dataset]) -> None:
    check_classes(cfg, datasets)
    _, num_classes = num_classes_of(student_of(cfg.model))
    for loader, dataset in datasets.items():
        learns = loader == 'train_dataloader' and num_classes is not None
        labels = Labels(loader)
        for leaf in leaves_of(dataset):
            images = Images(loader, len(leaf)) if reads_files(leaf) else None
            for info in infos_of(leaf):
                labels.add(info)
                if images is not None:
                    images.add(info)
            if images is not None:
                images.check()
        if loader == 'train_dataloader':
            labels.check(dataset, cfg)
        for source in filter(is_stock, sources_of(dataset)):
            what = f'{loader}: the first sample of {type(source).__name__}'
            with explained(f'{what} cannot be prepared', ADVICE, DataError):
                with isolated_rng():
                    sample = sample_of(source)
            if packs(source):
                check_sample(sample, what, learns)
    check_same_classes(datasets)


@contextmanager
def _opened(cfg, loader):
    """Say which data set cannot be read, and why if that shows in its file."""
    specs = datasets_of(cfg.get(loader))
    kinds = ' and '.join(type_of(spec) for spec in specs) or 'no data set'
    what = f'{loader}: its data ({kinds}) cannot be opened'
    try:
        yield
    except MMKDError:
        raise
    except Exception as error:
        if not OPENING.intersection(_functions(error)):
            raise  # of the loop, say
        with explained(what, ADVICE, DataError):
            for spec in specs:
                _explain(spec, loader, cfg.get('default_scope'), error)
            raise


def _explain(spec, loader, scope, error):
    """Raise what is wrong with a data set's annotation file, if something is."""
    from mmdet.datasets import CocoDataset

    try:
        with DefaultScope.overwrite_default_scope(scope):
            leaf = build_from(DATASETS, dict(spec, lazy_init=True, pipeline=[]))
    except Exception:  # what failed before says more
        return
    if isinstance(leaf, CocoDataset) and Path(leaf.ann_file).is_file():
        fault = fault_of(leaf.ann_file, leaf.metainfo.get('classes', ()))
        if fault:
            raise DataError(
                f'{loader}: {leaf.ann_file} {fault}; correct the file, or the data '
                "set's ann_file and metainfo classes."
            ) from error
    if 'need at least one array' in str(error):  # to serialise
        raise DataError(
            f'{loader}: no sample of {spec.get("type")} is left after filtering; '
            'check its annotations, its metainfo classes and filter_cfg.'
        ) from error


def _is_of_loader(error):
    """Whether it came out of a DataLoader, of this process or a worker."""
    files = (frame.filename for frame in traceback.extract_tb(error.__traceback__))
    return any('torch/utils/data/' in file.replace('\\', '/') for file in files)


def _functions(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def _cause(error):
    """Return its type and first line; a worker's is the last of its traceback."""
    text = str(error).strip()
    if text.startswith('Caught '):
        return text.rsplit('\n', 1)[-1].rstrip('.')
    return first_line(error)
