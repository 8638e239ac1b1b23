"""Loading weights strictly, with errors that name the keys."""

from typing import Optional

from torch import nn

from mmkd.checkpoints import Checkpoint, read_checkpoint
from mmkd.errors import CheckpointError

ADVICE = (
    'give the checkpoint that was trained with this config, or the config that belongs '
    'to this checkpoint.'
)


def load_weights(
    model: nn.Module, path: str, name: str, part: Optional[str] = None
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

    Returns:
        Checkpoint: What was loaded, by the model's names.

    Raises:
        CheckpointError: It holds no weights, or they do not fit.
    """
    checkpoint = read_checkpoint(path).fitting(model.state_dict(), part)
    taken = f' (taken {checkpoint.taken})' if checkpoint.taken else ''
    try:
        missing, unexpected = model.load_state_dict(checkpoint.weights, strict=False)
    except (RuntimeError, AttributeError) as error:
        lines = [line.strip(' \t.') for line in str(error).splitlines()[1:]]
        raise CheckpointError(
            f'{path} does not fit {name}: {_some(lines or [error], 1)}{taken}; {ADVICE}'
        ) from None
    missing = [key for key in missing if not key.endswith('num_batches_tracked')]
    if missing or unexpected:
        raise CheckpointError(
            f'{path} does not fit {name}: missing keys {_some(missing)}; '
            f'unexpected keys {_some(unexpected)}{taken}; {ADVICE}'
        )
    return checkpoint


def _some(keys, most=4):
    keys = [str(key) for key in keys]
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    return (', '.join(keys[:most]) or 'none') + more
