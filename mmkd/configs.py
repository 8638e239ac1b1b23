"""Reading configs, and the questions that are asked of them."""

import ast
import copy
import importlib.util
import itertools
import os.path as osp
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Set, Tuple

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmkd.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config file, or one of an installed package.

    Args:
        path (str): A path, or ``package::path`` such as
            ``mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py``.
        options (dict, optional): Values to overwrite, from ``--cfg-options``.

    Returns:
        Config: The merged config.

    Raises:
        ConfigError: The file, one of its bases or a package is missing, or the text
            is no valid config.
    """
    try:
        if '::' in path:
            cfg = Config.fromstring(f'_base_ = {path!r}', '.py')
        else:
            cfg = Config.fromfile(path)
        if options:
            cfg.merge_from_dict(options)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'config {path}: {error}; a base of another package (package::path) needs '
            'that package: pip install it.'
        ) from error
    except ImportError as error:
        # MMEngine's own message is a page long, and its causes end in this one.
        cause = error
        while cause.__context__ is not None:
            cause = cause.__context__
        raise ConfigError(
            f'config {path}: custom_imports cannot be imported: {cause}; check the '
            "module's name, and that the folder it is named from is on PYTHONPATH "
            '(PYTHONPATH=. for this one).'
        ) from error
    except FileNotFoundError as error:
        raise ConfigError(
            f'config {path} cannot be read: {error}; give a path from here or '
            'package::path, as in mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py.'
        ) from error
    except Exception as error:  # of any statement in it
        raise ConfigError(
            f'config {path} is not valid: {type(error).__name__}: '
            f'{str(error).rstrip(".")}.'
        ) from error
    return cfg


def files_of(cfg: Config) -> Set[str]:
    """Return the paths of the files that a config was read from, its bases' too."""
    # MMEngine puts each one's path before its text, but for those that are imported.
    paths = [cfg.filename or '', *filter(osp.isabs, cfg.text.splitlines())]
    files = {path for path in paths if osp.isfile(path)}
    for path in list(files):
        if path.endswith('.py'):
            files.update(_imported_bases(path))
    return files


def _imported_bases(path: str) -> Iterator[str]:
    """Give the files that are imported under ``with read_base():``, and their bases."""
    with open(path, encoding='utf-8') as file:
        body = ast.parse(file.read()).body
    blocks = [node.body for node in body if isinstance(node, ast.With)]
    for node in itertools.chain(*blocks):
        if node.level:
            above = [osp.dirname(path), *['..'] * (node.level - 1)]
            base = osp.join(*above, *node.module.split('.')) + '.py'
        else:
            base = importlib.util.find_spec(node.module).origin
        yield base
        yield from _imported_bases(base)


def is_distiller(model: dict) -> bool:
    """Tell whether a model's config is a Distiller's."""
    return str(model.get('type')) in ('mmkd.Distiller', 'Distiller')


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


#: Steps of a test pipeline that set the size of images, and where they say it.
SIZED = dict(CenterCrop='crop_size', EfficientNetCenterCrop='crop_size', Resize='scale')


def input_size_of(cfg: Config) -> Optional[Tuple[int, int]]:
    """Return height and width of the images that a config's test pipeline gives.

    None where it gives images of several sizes, or does not say.
    """
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    steps = [
        step for spec in datasets_of(loader) for step in spec.get('pipeline') or []
    ]
    for step in reversed(steps):
        key = SIZED.get(str(step.get('type')).split('.')[-1])
        if key is not None:
            size = None if step.get('keep_ratio') else step.get(key)
            if isinstance(size, int):
                return size, size
            # MMCV's pairs are width and height.
            return None if size is None else (size[1], size[0])
    return None


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
    """Build a config's model as a Runner does, under its scope and preprocessor."""
    model = copy.deepcopy(cfg.model)
    if is_distiller(model) and input_size_of(cfg) is not None:
        model.setdefault('probe_size', input_size_of(cfg))
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(model)
