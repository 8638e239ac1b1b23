"""Reading configs, and the questions that are asked of them."""

import copy
import os.path as osp
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Set, Tuple

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmkd.config_files import imported_bases, read_config
from mmkd.construct import build_from, building
from mmkd.errors import ConfigError
from mmkd.options import merge_options

if TYPE_CHECKING:
    from torch import nn

#: Spellings of the Distiller's type, see :func:`type_of`.
DISTILLERS = ('mmkd.Distiller', 'Distiller')


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config file, or one of an installed package.

    Args:
        path (str): A path, or ``package::path`` such as
            ``mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py``.
        options (dict, optional): Values to overwrite, from ``--cfg-options``.

    Returns:
        Config: The merged config.

    Raises:
        ConfigError: It cannot be read, see :func:`read_config`, or an option fits
            nothing in it, see :func:`merge_options`.
    """
    cfg = read_config(path)
    if options:
        merge_options(cfg, options)
    return cfg


def load_model_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config as :func:`load_config` does; it has to have a model.

    Raises:
        ConfigError: It has none, or a Distiller without a student; or see
            :func:`load_config`.
    """
    cfg = load_config(path, options)
    model = cfg.get('model')
    if not isinstance(model, dict) or not model.get('type'):
        raise ConfigError(
            f'{path} has no model; give a config with model=dict(type=...).'
        )
    if is_distiller(model) and not isinstance(model.get('student'), dict):
        raise ConfigError(
            f'{path}: the Distiller has no student; give it one, '
            'student=dict(type=...).'
        )
    return cfg


def files_of(cfg: Config) -> Set[str]:
    """Return the paths of the files that a config was read from, its bases' too."""
    # MMEngine puts each one's path before its text, but for those that are imported.
    paths = [cfg.filename or '', *filter(osp.isabs, cfg.text.splitlines())]
    files = {path for path in paths if osp.isfile(path)}
    for path in list(files):
        if path.endswith('.py'):
            files.update(_all_imported(path))
    return files


def _all_imported(path: str) -> Iterator[str]:
    for base in imported_bases(path):
        yield base
        yield from _all_imported(base)


def is_distiller(model: dict) -> bool:
    """Tell whether a model's config is a Distiller's, by name or by class."""
    kind = model.get('type')
    kinds = getattr(kind, '__mro__', [kind])
    return any(type_of(dict(type=each)) in DISTILLERS for each in kinds)


def type_of(part: Optional[dict]) -> str:
    """Return a part's ``type`` as text, ``'NAME'`` or ``'package.NAME'``.

    The class itself and the path of its module are named by the package, so that
    each spelling gives the same: ``'mmkd.KDLoss'``. It is empty where there is none.
    """
    kind = (part or {}).get('type') or ''
    if not isinstance(kind, str):
        module = getattr(kind, '__module__', '')
        kind = f'{module}.{getattr(kind, "__qualname__", kind)}'
    package, dot, name = kind.partition('.')
    return f'{package}.{name.rpartition(".")[2]}' if dot else kind


def name_of(part: Optional[dict]) -> str:
    """Return the name in a part's ``type``, without its package."""
    return type_of(part).rpartition('.')[2]


def student_of(model: dict) -> dict:
    """Return the student in a model's config; the model itself if nobody teaches it.

    What is returned is the part of the config, which changes with it.
    """
    return model['student'] if is_distiller(model) else model


def student_alone(model: dict) -> dict:
    """Return the student in a model's config as a model of its own.

    It has the data preprocessor that a Distiller would give it. A model that nobody
    teaches is returned as it is.
    """
    given = model.get('data_preprocessor') if is_distiller(model) else None
    return preprocessed(student_of(model), given)


def preprocessed(model: dict, data_preprocessor: Optional[dict]) -> dict:
    """Return a model's config with a data preprocessor, its own if it has one."""
    if data_preprocessor is None:
        return model
    return dict(dict(data_preprocessor=data_preprocessor), **model)


def teachers_of(model: dict) -> Dict[str, dict]:
    """Return the teachers' entries in a model's config by name, none in a stock one.

    What is returned are the parts of the config, which change with it.
    """
    if not is_distiller(model):
        return {}
    if model.get('teacher') is not None:
        return dict(teacher=model['teacher'])
    return dict(model.get('teachers') or {})


def datasets_of(loader: Optional[dict]) -> List[dict]:
    """Return the data sets that read, inside of a dataloader's wrappers.

    Args:
        loader (dict, optional): Such as ``cfg.train_dataloader``. Wrappers are
            RepeatDataset, ConcatDataset and the like.

    Returns:
        list[dict]: The parts of the config, which change with it; none of None.
    """
    return list(_unwrapped((loader or {}).get('dataset')))


#: Steps of pipelines after which images are of one size, and where they say it; MMCV's
#: pairs are width and height.
SIZED = dict(
    CenterCrop='crop_size',
    EfficientNetCenterCrop='crop_size',
    EfficientNetRandomCrop='scale',
    RandomCrop='crop_size',
    RandomResizedCrop='scale',
    Resize='scale',
)
#: Of these, mmpretrain's own: their pairs are height and width.
HEIGHT_FIRST = ('RandomCrop', 'RandomResizedCrop')
#: What other steps that change sizes have.
SCALES = ('scale', 'scales', 'size', 'crop_size', 'img_scale')


def input_size_of(cfg: Config) -> Optional[Tuple[int, int]]:
    """Return height and width of the images that a config trains on.

    Where its training pipeline does not say, they are those of its test pipeline; None
    where neither does, or images are of several sizes.
    """
    test = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    return _size_in(cfg.get('train_dataloader'), cfg) or _size_in(test, cfg)


def _size_in(loader, cfg):
    pipelines = [spec.get('pipeline') or [] for spec in datasets_of(loader)]
    sizes = {_size_after(steps, cfg.get('default_scope')) for steps in pipelines}
    return sizes.pop() if len(sizes) == 1 else None


def _size_after(steps, scope):
    for step in reversed([step for step in steps if isinstance(step, dict)]):
        *scopes, name = type_of(step).split('.')
        # mmdet's crops are as small as the image.
        crops_less = name == 'RandomCrop' and [*scopes, scope][0] == 'mmdet'
        key = None if crops_less else SIZED.get(name)
        if key is not None and not step.get('keep_ratio'):
            return _height_width(step.get(key), name in HEIGHT_FIRST)
        if _changes_size(step):
            return None
    return None


def _changes_size(step):
    """Whether a step, or one of those that it chooses from, says a size."""
    if isinstance(step, (list, tuple)):
        return any(map(_changes_size, step))
    if not isinstance(step, dict):
        return False
    inner = step.get('transforms') or ()
    return any(key in step for key in SCALES) or _changes_size(inner)


def _height_width(size, height_first):
    pair = [size, size] if isinstance(size, int) else size
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return None
    return tuple(pair if height_first else pair[::-1])


def _unwrapped(spec) -> Iterator[dict]:
    if isinstance(spec, (list, tuple)):
        for item in spec:
            yield from _unwrapped(item)
    elif isinstance(spec, dict):
        inner = [spec[key] for key in ('dataset', 'datasets') if key in spec]
        if inner:
            yield from _unwrapped(inner)
        else:
            yield spec


def build_model(cfg: Config) -> 'nn.Module':
    """Build a config's model as a Runner does, under its scope and preprocessor.

    Raises:
        ConfigError: It cannot be built.
    """
    model = copy.copy(cfg.model)
    if is_distiller(model) and input_size_of(cfg) is not None:
        model.setdefault('probe_size', input_size_of(cfg))
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope'))
    with building('the model'), scope:
        return build_from(MODELS, model)
