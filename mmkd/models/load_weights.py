"""Loading weights strictly, with errors that name the keys."""

from typing import Optional

from mmengine.runner import CheckpointLoader
from torch import nn

from mmkd.errors import CheckpointError

ADVICE = (
    'give the checkpoint that was trained with this config, or the config that belongs '
    'to this checkpoint.'
)


def load_weights(
    model: nn.Module, path: str, name: str, part: Optional[str] = None
) -> dict:
    """Load a checkpoint into a model; all of its tensors have to fit.

    What a Distiller learned beside its student, ``distill.``, is passed over.

    Args:
        model (nn.Module): The network.
        path (str): Path or URL.
        name (str): What the network is, for messages.
        part (str, optional): Take only what begins so, such as ``'backbone.'``, where
            the checkpoint has such keys; the prefix is taken off.

    Returns:
        dict: The checkpoint's ``meta``, empty where it has none.

    Raises:
        CheckpointError: It holds no weights, or they do not fit.
    """
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{path} holds a {type(checkpoint).__name__}, not the weights of a '
            'model by name; give a checkpoint that OpenMMLab or torch saved of a '
            'state dict.'
        )
    weights = checkpoint.get('state_dict', checkpoint)
    weights = {
        key[7:] if key.startswith('module.') else key: value
        for key, value in weights.items()
        if not key.startswith('distill.')
    }
    if part and any(key.startswith(part) for key in weights):
        weights = {k[len(part) :]: v for k, v in weights.items() if k.startswith(part)}
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except (RuntimeError, AttributeError) as error:
        lines = [line.strip(' \t.') for line in str(error).splitlines()[1:]]
        raise CheckpointError(
            f'{path} does not fit {name}: {_some(lines or [error], 1)}; {ADVICE}'
        ) from None
    missing = [key for key in missing if not key.endswith('num_batches_tracked')]
    if missing or unexpected:
        raise CheckpointError(
            f'{path} does not fit {name}: missing keys {_some(missing)}; '
            f'unexpected keys {_some(unexpected)}; {ADVICE}'
        )
    return checkpoint.get('meta') or {}


def class_names(meta: dict) -> Optional[tuple]:
    """Return the class names in a checkpoint's ``meta``, as OpenMMLab 1 to 3 spell it.

    Args:
        meta (dict): What :func:`load_weights` returned.
    """
    for where in (meta.get('dataset_meta') or {}, meta):
        for key in ('classes', 'CLASSES'):
            if where.get(key) is not None:
                return tuple(where[key])
    return None


def _some(keys, most=4):
    keys = [str(key) for key in keys]
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    return (', '.join(keys[:most]) or 'none') + more
