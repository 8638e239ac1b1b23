"""Class names against the labels that stand for them."""

from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple, Union

from mmengine.config import Config
from torch.utils.data import Dataset

from mmkd.configs import name_of
from mmkd.errors import DataError

from .coco_file import categories_of
from .leaves import leaves_of

#: As many names are given in full.
FULL = 20


def check_classes(cfg: Config, datasets: Dict[str, Dataset]) -> None:
    """Check that labels have the names that their files give them.

    mmdet's CocoDataset and CocoMetric give out labels in the order of the
    *file's* categories, of which they take those that ``metainfo['classes']`` names.
    Where that has another order, or a name that the file lacks, labels and names part,
    and nothing says so.

    Args:
        cfg (Config): For the evaluator's own annotation file.
        datasets (dict[str, Dataset]): Those of the loaders, by the loader's name.

    Raises:
        DataError: A label has several names.
    """
    for loader, dataset in datasets.items():
        for leaf in leaves_of(dataset):
            classes = classes_of(leaf)
            if isinstance(classes, str):
                raise DataError(
                    f'{loader}: metainfo.classes of {type(leaf).__name__} is one text, '
                    f'{classes!r}, but takes a tuple of names: write ({classes!r},).'
                )
            if hasattr(leaf, 'cat_ids') and _is_local(leaf.ann_file):
                _check_file(leaf.ann_file, leaf.cat_ids, classes, loader)
        if loader != 'train_dataloader':
            _check_evaluator(cfg, loader, classes_of(dataset))


def check_same_classes(datasets: Dict[str, Dataset]) -> None:
    """Check that the labels of training have the same names elsewhere.

    Fewer or more of them pass.

    Args:
        datasets (dict[str, Dataset]): Those of the loaders, by the loader's name.

    Raises:
        DataError: A label has two names.
    """
    known = {loader: classes_of(dataset) for loader, dataset in datasets.items()}
    wanted = known.get('train_dataloader') or ()
    for loader, classes in known.items():
        label = _first_difference(classes or (), wanted)
        if label is not None:
            raise DataError(
                f'{loader}: label {label} is {classes[label]!r}, but {wanted[label]!r} '
                'in train_dataloader; give both data sets the same metainfo classes, '
                "for COCO's format with the categories of both files in one order."
            )


def classes_of(dataset: Dataset) -> Union[Tuple[str, ...], str, None]:
    """Return the class names of a data set, or None if it has none for its labels.

    Of a wrong config they are one text.
    """
    classes = dict(getattr(dataset, 'metainfo', None) or {}).get('classes')
    if is_open(dataset) or not isinstance(classes, (list, tuple, str)):
        return None
    return classes if isinstance(classes, str) else tuple(classes)


def is_open(dataset: Dataset) -> bool:
    """Tell whether images come with names of their own, as for open vocabularies."""
    return any(getattr(leaf, 'return_classes', False) for leaf in leaves_of(dataset))


def _check_file(path, ids, classes, where):
    """Compare names of a file's categories ``ids``, by label, with ``classes``."""
    name_of = {entry['id']: entry['name'] for entry in categories_of(path)}
    names = [name_of.get(id_) for id_ in ids]
    # LVIS takes all categories of its file, whatever their spelling here.
    if classes is None or not set(names) <= set(classes):
        return
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        same = [str(id_) for id_, name in name_of.items() if name == twice[0]]
        raise DataError(
            f'{where}: {path} has {len(same)} categories named {twice[0]!r} (ids '
            f'{", ".join(same)}), so labels and class names part; give the boxes of '
            'all of them one id there, and take the others out of its categories.'
        )
    label = _first_difference(names, classes)
    if label is None:
        return
    absent = [name for name in classes if name not in names]
    lacks = f' (the file has no {absent[0]!r})' if absent else ''
    advice = f'set metainfo=dict(classes={_order(names)}) in every data set'
    if absent:
        advice = (
            f'give the file a category {absent[0]!r} at its place in that order, or, '
            'if nothing is to be of that class, take it out of metainfo.classes of '
            f'every data set and set num_classes to {len(names)}'
        )
    raise DataError(
        f'{where}: label {label} is {names[label]!r} (id {ids[label]}) in {path}, but '
        f'{classes[label]!r} in metainfo.classes{lacks}: labels follow the order of '
        f"the file's categories, not that of the names; {advice}."
    )


def _order(names):
    if len(names) > FULL:
        return f"the {len(names)} names in the order of the file's categories"
    return repr(tuple(names))


def _check_evaluator(cfg, loader, classes):
    name = loader.replace('dataloader', 'evaluator')
    specs = cfg.get(name) or []
    for spec in specs if isinstance(specs, (list, tuple)) else [specs]:
        path = spec.get('ann_file')
        is_coco = name_of(spec) == 'CocoMetric'
        if classes is None or not is_coco or not _is_local(path):
            continue
        entries = categories_of(path)
        if spec.get('sort_categories'):
            entries = sorted(entries, key=lambda entry: entry['id'])
        ids = [entry['id'] for entry in entries if entry['name'] in classes]
        _check_file(path, ids, classes, name)


def _first_difference(names: Sequence[str], classes: Sequence[str]) -> Optional[int]:
    """The first label with another name; None if one is the beginning of the other."""
    pairs = enumerate(zip(names, classes))
    return next((label for label, (a, b) in pairs if a != b), None)


def _is_local(path):
    return bool(path) and str(path).endswith('.json') and Path(path).is_file()
