"""Two-stage detectors: what their box heads have to be to be compared."""

from typing import Dict, List

from torch import nn

from mmkd.errors import ConfigError


def check_logits(name: str, model: nn.Module, paths: List[str], role: str) -> None:
    """Refuse box heads whose class scores are no softmax over classes and background.

    Raises:
        ConfigError: There is one.
    """
    for path in paths:
        why = _no_softmax(model.get_submodule(path), role)
        if why:
            raise ConfigError(
                f'on={name!r} compares a softmax over classes and background, but the '
                f'{why}; compare features, such as the neck.'
            )


def check_columns(name: str, head: nn.Module, shape: tuple, role: str) -> None:
    """Refuse a box head whose logits in a dry run are not ``(R, K + 1)``.

    Raises:
        ConfigError: They are not.
    """
    if len(shape) != 2 or shape[1] != head.num_classes + 1:
        raise ConfigError(
            f'on={name!r}: the {type(head).__name__} of the {role} gives class scores '
            f'of shape {tuple(shape)}, which are not {head.num_classes + 1} columns, '
            'of classes and background, of each RoI; compare features, such as the '
            'neck.'
        )


def check_boxes(
    name: str, models: Dict[str, nn.Module], paths: Dict[str, List[str]]
) -> None:
    """Refuse box heads whose deltas are none, or not of the same kind.

    Raises:
        ConfigError: There is such a head, or such a pair.
    """
    for role, model in models.items():
        for path in paths[role]:
            _check_deltas(name, model.get_submodule(path), role)
    for pair in zip(*paths.values()):
        heads = [models[role].get_submodule(path) for role, path in zip(models, pair)]
        if len({head.reg_class_agnostic for head in heads}) > 1:
            raise ConfigError(
                f'on={name!r}: reg_class_agnostic of the two box heads differs, so '
                'their deltas are of different boxes.'
            )
        if len({_units(_coder(head)) for head in heads}) > 1:
            raise ConfigError(
                f'on={name!r}: the bbox_coder of the two box heads has other means '
                'or stds, so their deltas are in different units; compare stages of '
                'the same, as stages=dict(student=[0], teacher=[0]) does.'
            )


def _no_softmax(head, role):
    kind = f'{type(head).__name__} of the {role}'
    loss = getattr(head, 'loss_cls', None)
    if not isinstance(loss, nn.Module) or not hasattr(head, 'num_classes'):
        return f'{kind} lacks loss_cls or num_classes'
    if getattr(head, 'num_instance', 1) > 1:
        return f'{kind} predicts several sets of scores for each RoI'
    kind = f'{type(loss).__name__} of the {role}'
    if any(
        getattr(loss, own, False)
        for own in ('custom_cls_channels', 'custom_activation')
    ):
        return f'{kind} gives scores columns or an activation of its own'
    if getattr(loss, 'use_sigmoid', False):
        return f'{kind} says yes or no to each class (use_sigmoid=True)'
    return ''


def _check_deltas(name, head, role):
    layer = getattr(head, 'fc_reg', None)
    missing = ''
    if layer is None:
        missing = 'has no fc_reg, so predicts no box deltas of each RoI'
    elif not isinstance(layer, nn.Linear):
        missing = f'predicts box deltas by a {type(layer).__name__}, not a linear layer'
    elif getattr(_coder(head), 'encode_size', 4) != 4:
        missing = 'predicts other than 4 deltas a box'
    elif not hasattr(head, 'reg_class_agnostic') or not hasattr(head, 'num_classes'):
        missing = 'lacks reg_class_agnostic or num_classes'
    if missing:
        instead = 'the neck' if _no_softmax(head, role) else "on='roi.logits'"
        raise ConfigError(
            f'on={name!r}: the {type(head).__name__} of the {role} {missing}; choose '
            f'{instead}.'
        )


def _coder(head):
    return getattr(head, 'bbox_coder', None)


def _units(coder):
    return (
        type(coder),
        tuple(getattr(coder, 'means', ())),
        tuple(getattr(coder, 'stds', ())),
    )
