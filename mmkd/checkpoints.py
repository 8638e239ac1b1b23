"""Checkpoints: where a file keeps weights, what they are called, and writing them."""

import io
from pathlib import Path
from typing import (
    Any,
    Collection,
    Dict,
    Iterator,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmkd.errors import CheckpointError
from mmkd.files import write_bytes

#: Where weights are kept, '' at the top of the file; the first that is there counts.
PLACES = (
    'state_dict',
    'model',
    'model_state_dict',
    'net',
    'ema_state_dict',
    'state_dict_ema',
    'model_ema',
    '',
)
#: What wrappers put before all names.
PREFIXES = ('module.', 'model.', 'student.')
#: What averaged models count, beside what they wrap.
COUNTERS = ('steps', 'n_averaged')
#: Before the names of what a Distiller's losses learn.
EXTRAS = 'distill.'


class Checkpoint(NamedTuple):
    """What a file knows of a network.

    Args:
        path (str): Path or URL of the file.
        weights (dict[str, Tensor]): By name, without what a Distiller learned beside
            its student.
        meta (dict): What MMEngine saved beside them, empty where it did not.
        taken (str): How the weights were come by, for messages; empty where that
            goes without saying.
    """

    path: str
    weights: Dict[str, Tensor]
    meta: dict
    taken: str = ''

    @property
    def classes(self) -> Optional[Tuple[str, ...]]:
        """Names of the classes, as OpenMMLab 1 to 3 spell them, or None."""
        for where in (self.meta.get('dataset_meta'), self.meta):
            for key in ('classes', 'CLASSES') if isinstance(where, dict) else ():
                names = where.get(key)
                if isinstance(names, str):
                    return (names,)
                if isinstance(names, (list, tuple)):
                    return tuple(names)
        return None

    def fitting(
        self, wanted: Collection[str] = (), part: Optional[str] = None
    ) -> 'Checkpoint':
        """Return it with the names that a network has for its weights.

        What wraps all names, see :data:`PREFIXES`, is taken off, and a log line says
        so. Where the network's own names begin so, it stays: a network may have a
        ``model`` of its own.

        Args:
            wanted (Collection[str]): Names in the network's state dict. Without any,
                all that wraps is taken off.
            part (str, optional): Take only what begins so, such as ``'backbone.'``,
                where there is such a name; this is taken off, too.
        """
        wanted = set(wanted)
        levels = [(off, _part(names, part)) for off, names in _unwrapped(self.weights)]
        # The most names that fit, and among equals the barest.
        off, names = max(levels[::-1], key=lambda level: len(wanted & set(level[1])))
        prefix = f'without the prefix {off!r} of all names' if off else ''
        taken = ', '.join(filter(None, (self.taken, prefix)))
        if taken:
            print_log(f'{self.path}: its weights are taken {taken}.', logger='current')
        weights = {new: self.weights[old] for new, old in names.items()}
        return self._replace(weights=weights, taken=taken)


def read_checkpoint(path: str, places: Sequence[str] = PLACES) -> Checkpoint:
    """Read a file of weights; no code in it is run.

    Args:
        path (str): Path or URL.
        places (Sequence[str]): Where to look for weights: keys of the file, or ``''``
            for its top. Defaults to :data:`PLACES`. Other places that hold weights,
            such as ``ema_state_dict``, are named in :attr:`Checkpoint.taken`.

    Raises:
        CheckpointError: The file is missing, cannot be read safely, holds no tensors
            by name, or some that are no weights: NaN, infinite, sparse, quantised.
    """
    path = str(path)
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except (KeyError, ImportError, OSError) as error:  # torchvision://NAME, s3://, ...
        raise CheckpointError(
            f'{path} cannot be read ({type(error).__name__}: {error}): check its name, '
            'or give the path of a local copy.'
        ) from error
    return checkpoint_of(path, content, places)


def checkpoint_of(
    path: str, content: Any, places: Sequence[str] = PLACES
) -> Checkpoint:
    """Find the weights in what was loaded.

    Args:
        path (str): Path or URL, for messages.
        content: What is in the file.
        places (Sequence[str]): See :func:`read_checkpoint`.

    Raises:
        CheckpointError: It holds no tensors by name.
    """
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path} holds a {type(content).__name__}, not the weights of a '
            'model by name; give a checkpoint that OpenMMLab or torch saved of a '
            'state dict.'
        )
    held = {key: _tensors(content.get(key) if key else content) for key in PLACES}
    place = next((key for key in places if held[key]), None)
    if place is None:
        where = ' or '.join(f'under {key!r}' if key else 'at the top' for key in places)
        keys = ', '.join(map(repr, list(content)[:5])) or 'nothing'
        elsewhere = [repr(key) for key, value in content.items() if _tensors(value)]
        advice = 'give a checkpoint that OpenMMLab or torch saved of a state dict'
        if elsewhere:
            advice = (
                f'it has weights under {", ".join(elsewhere)}: save those of the '
                "network under 'state_dict'"
            )
        raise CheckpointError(
            f'{path} has no state dict {where}; it begins with {keys}; {advice}.'
        )
    _check_weights(path, held[place])
    others = [repr(key) for key in PLACES if key not in ('', place) and held[key]]
    taken = f'under {place!r}' if others or place not in ('', 'state_dict') else ''
    taken += f', not {", ".join(others)}' if others else ''
    meta = content.get('meta')
    return Checkpoint(path, held[place], meta if isinstance(meta, dict) else {}, taken)


def write_checkpoint(path: Path, weights: Dict[str, Tensor], meta: dict) -> None:
    """Write weights and ``meta`` as MMEngine reads them, in one step."""
    buffer = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=weights), buffer)
    write_bytes(path, buffer.getvalue())


def _tensors(value) -> Dict[str, Tensor]:
    items = value.items() if isinstance(value, dict) else ()
    return {
        key: tensor
        for key, tensor in items
        if isinstance(key, str)
        and isinstance(tensor, Tensor)
        and not key.startswith(EXTRAS)
    }


def _check_weights(path, weights):
    """Refuse tensors that no trained network has."""
    for name, tensor in weights.items():
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_meta:
            kind = 'quantised' if tensor.is_quantized else f'{tensor.layout}'
            kind = 'without data (meta)' if tensor.is_meta else kind
            advice = 'save dense tensors of floating point'
        elif not _is_finite(tensor):
            kind, advice = 'not finite', 'take one from before the training broke down'
        else:
            continue
        raise CheckpointError(f'{path}: {name} is {kind}; {advice}.')


def _is_finite(tensor):
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if not tensor.is_floating_point():
        return True
    if tensor.dtype.itemsize == 1:
        tensor = tensor.float()  # nobody asks float8
    finite = tensor.isfinite()
    if finite.all():
        return True
    # A mask that is added before a softmax is minus infinity, or nothing.
    return bool((tensor[~finite] == -torch.inf).all() and (tensor[finite] == 0).all())


def _unwrapped(weights) -> Iterator[Tuple[str, Dict[str, str]]]:
    """Give the names as they are, then less each prefix that wraps all of them.

    Yields:
        tuple[str, dict[str, str]]: What was taken off, and the names in the file by
        what is left of them.
    """
    off, names = '', {name: name for name in weights}
    while True:
        names = {new: old for new, old in names.items() if not new.startswith(EXTRAS)}
        yield off, names
        inside = [name for name in names if name not in COUNTERS]
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in inside)), '')
        if not (inside and prefix):
            return
        off += prefix
        names = {name[len(prefix) :]: names[name] for name in inside}


def _part(names, part):
    """Keep the names that begin so, without that, where there are any."""
    if not part or not any(name.startswith(part) for name in names):
        return names
    return {n[len(part) :]: old for n, old in names.items() if n.startswith(part)}
