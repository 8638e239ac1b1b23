"""Loading weights strictly, with errors that name the keys."""

from typing import Optional

from torch import nn

from mmkd.checkpoints import Checkpoint, read_checkpoint
from mmkd.errors import CheckpointError
from mmkd.misfit import misfit

ADVICE = (
    'give the checkpoint that was trained with this config, or the config that belongs '
    'to this checkpoint.'
)


def load_weights(
    model: nn.Module,
    path: str,
    name: str,
    part: Optional[str] = None,
    prefix: Optional[str] = None,
) -> Checkpoint:
    """Load a checkpoint into a model; all of its tensors have to fit.

    What a Distiller learned beside its student, ``distill.``, is passed over, and what
    wraps all names is taken off, see :meth:`mmkd.checkpoints.Checkpoint.fitting`.

    Args:
        model (nn.Module): The network.
        path (str): Path or URL.
        name (str): What the network is, for messages.
        part (str, optional): Take only what begins so, such as ``'backbone.'``, where
            the checkpoint has such keys; the prefix is taken off.
        prefix (str, optional): What the names of this network begin with in a file of
            several, see :func:`mmkd.checkpoints.read_checkpoint`.

    Returns:
        Checkpoint: What was loaded, by the model's names.

    Raises:
        ConfigError: The prefix is no text.
        CheckpointError: It holds no weights, or they do not fit.
    """
    wanted = model.state_dict()
    checkpoint = read_checkpoint(path, prefix=prefix).fitting(wanted, part)
    taken = f' (taken {checkpoint.taken})' if checkpoint.taken else ''
    _check_values(path, wanted, checkpoint.weights)
    try:
        missing, unexpected = model.load_state_dict(checkpoint.weights, strict=False)
    except (RuntimeError, AttributeError) as error:
        lines = [line.strip(' \t.') for line in str(error).splitlines()[1:]]
        raise CheckpointError(
            f'{path} does not fit {name}: {_some(lines or [error], 1)}{taken}; {ADVICE}'
        ) from None
    missing = [key for key in missing if not key.endswith('num_batches_tracked')]
    if missing or unexpected:
        why = misfit(wanted, checkpoint.weights, under=checkpoint.under)
        raise CheckpointError(
            f'{path} does not fit {name}: missing keys {_some(missing)}; '
            f'unexpected keys {_some(unexpected)}{taken}; '
            + (f'{why}.' if why else ADVICE)
        )
    return checkpoint


def _check_values(path, wanted, weights):
    """Refuse whole or complex numbers in place of others, and nothing but zeros."""
    for name in wanted.keys() & weights.keys():
        own, given = wanted[name].dtype, weights[name].dtype
        loses = given.is_complex and not own.is_complex
        if loses or own.is_floating_point and not given.is_floating_point:
            raise CheckpointError(
                f'{path} has {name} as {given}, where the network has {own}; give the '
                'weights as they were trained, not as counts or codes.'
            )
    matrices = [tensor for tensor in weights.values() if tensor.dim() > 1]
    if matrices and not any(tensor.any() for tensor in matrices):
        raise CheckpointError(
            f'{path}: all of its {len(matrices)} matrices are zero; give those of '
            'a trained network.'
        )


def _some(keys, most=4):
    keys = [str(key) for key in keys]
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    return (', '.join(keys[:most]) or 'none') + more
