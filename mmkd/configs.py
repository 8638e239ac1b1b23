"""Reading configs, and the questions that are asked of them."""

import copy
from typing import Dict, Iterator, List, Optional

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmkd.errors import ConfigError


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
    except (SyntaxError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            f'config {path} is not valid: {type(error).__name__}: '
            f'{str(error).rstrip(".")}.'
        ) from error
    return cfg


def is_distiller(model: dict) -> bool:
    """Tell whether a model's config is a Distiller's."""
    return str(model.get('type')) in ('mmkd.Distiller', 'Distiller')


def student_of(model: dict) -> dict:
    """Return the student in a model's config; the model itself if nobody teaches it.

    What is returned is the part of the config, which changes with it.
    """
    return model['student'] if is_distiller(model) else model


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


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model as a Runner does, under its scope and preprocessor."""
    model = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(model)
