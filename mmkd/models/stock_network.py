"""Networks of stock configs: building them, and the feature before the logits."""

import inspect
from typing import Optional, Tuple, Union

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from mmkd.configs import load_config, preprocessed, student_alone
from mmkd.construct import build_from, building
from mmkd.errors import ConfigError, about


def build_network(
    config: Union[str, Config, dict], name: str = 'the network'
) -> nn.Module:
    """Build the network of a config, with random weights.

    A Distiller's config gives its student: its checkpoints are the student's. A plain
    backbone gets no data preprocessor; other models get the config's, where they have
    none.

    Args:
        config (str | Config | dict): Path or ``package::path`` of an OpenMMLab config,
            or the config itself with ``model``, or that model's dict. It is not
            changed.
        name (str): Whose config this is, for messages. Defaults to
            ``'the network'``.

    Returns:
        nn.Module: The classifier, detector or backbone.

    Raises:
        ConfigError: The config cannot be read, has no model, or one that cannot be
            built.
    """
    source = f' ({config})' if isinstance(config, str) else ''
    if isinstance(config, str):
        with about(name):
            config = load_config(config)
    if isinstance(config, Config):
        config = config._cfg_dict
    if not isinstance(config, dict):
        raise ConfigError(
            f'{name} config must be a path or a dict, got {config!r}; give '
            'config=PATH, package::path, or the model as a dict with its type.'
        )
    model = config if 'type' in config else config.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise ConfigError(
            f'{name} config has no model: give the path of a config with one, or the '
            f'model as a dict with its type; got the keys {", ".join(config)}.'
        )
    with building(f'{name}{source}'):
        model = student_alone(model)
        scope = model.get('_scope_', config.get('default_scope'))
        with ROOT_MODELS.switch_scope_and_registry(scope) as registry:
            if model is not config and _preprocesses(model['type'], registry):
                model = preprocessed(model, config.get('data_preprocessor'))
            return build_from(registry, model)


def build_student(
    student: Union[dict, nn.Module], data_preprocessor: Optional[dict]
) -> nn.Module:
    """Build a Distiller's student under the scope at hand, or take it as it is.

    Args:
        student (dict | nn.Module): Its config, which is not changed, or itself.
        data_preprocessor (dict, optional): Its preprocessor where it has none.

    Raises:
        ConfigError: It is no network, or cannot be built.
    """
    if not isinstance(data_preprocessor, (dict, nn.Module, type(None))):
        raise ConfigError(
            f'data_preprocessor must be a dict with its type, got {data_preprocessor!r}'
            "; leave it out for the student's own."
        )
    if isinstance(student, dict) and 'type' in student:
        with building('the student'):
            student = build_from(ROOT_MODELS, preprocessed(student, data_preprocessor))
    if not isinstance(student, nn.Module):
        keys = isinstance(student, dict) and ', '.join(map(str, student))
        got = f'the keys {keys}' if keys else repr(student)
        raise ConfigError(
            'student must be the model of a config, a dict with its type, such as '
            f'student=_base_.model, or a network; got {got}.'
        )
    check_preprocesses(student, 'the student')
    _check_not_wrapped(student)
    return student


def check_preprocesses(model: nn.Module, whose: str) -> None:
    """Refuse a network of another package, whose input and parts nobody knows.

    Raises:
        ConfigError: It has no data preprocessor.
    """
    if not isinstance(getattr(model, 'data_preprocessor', None), nn.Module):
        kind = type(model)
        raise ConfigError(
            f'{whose} is a {kind.__module__}.{kind.__name__}, which has no '
            'data_preprocessor; give an mmpretrain classifier or an mmdet detector, '
            "such as dict(type='ImageClassifier', backbone=..., head=...)."
        )


def _check_not_wrapped(student):
    """Refuse what ``torch.compile(module)`` makes: it renames the weights in it."""
    for name, _ in student.named_modules():
        if '_orig_mod' in name.split('.'):
            part = name.partition('_orig_mod')[0].rstrip('.')
            raise ConfigError(
                f'the student{f" ({part})" if part else ""} is wrapped by '
                'torch.compile, which renames its weights, so that no stock tool loads '
                'its checkpoint; give it as it was, and compile=True in the config, '
                'or AccelerateHook(compile=True).'
            )


def pooled(model: nn.Module, inputs: Tensor) -> Tensor:
    """Compute what goes into a network's last linear layer.

    Args:
        model (nn.Module): An mmpretrain ``ImageClassifier``, or a plain backbone, whose
            last output is averaged over the positions of a map ``(N, C, H, W)`` or
            over tokens ``(N, L, C)``.
        inputs (Tensor): Preprocessed images ``(N, 3, H, W)``.

    Returns:
        Tensor: Features ``(N, C)``.

    Raises:
        ConfigError: The model is neither, or no single feature precedes its logits.
    """
    if isinstance(model, ImageClassifier):
        return before_logits(model, model.extract_feat(inputs))
    feature = None if isinstance(model, BaseModel) else model(inputs)
    feature = feature[-1] if isinstance(feature, (tuple, list)) else feature
    if isinstance(feature, Tensor) and feature.ndim in (3, 4):
        feature = feature.mean((2, 3) if feature.ndim == 4 else 1)
    return _row(model, feature)


def before_logits(model: ImageClassifier, maps: Tuple[Tensor, ...]) -> Tensor:
    """Compute the same from what the classifier's neck, or its backbone, puts out.

    Args:
        model (ImageClassifier): The classifier.
        maps (tuple[Tensor]): What ``model.extract_feat(inputs)`` gives.

    Returns:
        Tensor: Features ``(N, C)``.

    Raises:
        ConfigError: No single feature precedes its logits.
    """
    # Without a layer of its own a head passes on the logits of the backbone.
    layers = model.with_head and next(model.head.parameters(), None) is not None
    feature = model.head.pre_logits(maps) if layers else None
    return _row(model, feature[-1] if isinstance(feature, (tuple, list)) else feature)


def _row(model, feature):
    if isinstance(feature, Tensor) and feature.ndim == 2:
        return feature
    raise ConfigError(
        f'{type(model).__name__} gives no feature (N, C) before its logits; give an '
        'mmpretrain ImageClassifier whose head has a linear layer, or a backbone.'
    )


def _preprocesses(kind, registry):
    kind = registry.get(kind) if isinstance(kind, str) else kind
    # An unknown name is left for the registry to refuse.
    return not inspect.isclass(kind) or issubclass(kind, BaseModel)
