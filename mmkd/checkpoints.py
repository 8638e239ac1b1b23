"""Checkpoints: where a file keeps weights, what they are called, and writing them."""

import io
from pathlib import Path
from typing import Any, Collection, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmkd.errors import CheckpointError
from mmkd.files import write_bytes
from mmkd.stored_tensors import check_tensors, tensors_in
from mmkd.weight_names import (
    SECOND,
    beginning_with,
    chosen,
    second_set,
    unwrapped,
)

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


class Checkpoint(NamedTuple):
    """What a file knows of a network.

    Args:
        path (str): Path or URL of the file.
        weights (dict[str, Tensor]): By name, without what a Distiller learned beside
            its student.
        meta (dict): What MMEngine saved beside them, empty where it did not.
        taken (str): How the weights were come by, for messages; empty where that
            goes without saying.
        under (str): What was taken off the front of all names.
    """

    path: str
    weights: Dict[str, Tensor]
    meta: dict
    taken: str = ''
    under: str = ''

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

        What wraps all names, see :data:`mmkd.weight_names.PREFIXES`, is taken off,
        and a log line says so. Where the network's own names begin so, it stays: a
        network may have a ``model`` of its own. A second set of weights under ``ema_``
        is passed over, which is said too.

        Args:
            wanted (Collection[str]): Names in the network's state dict. Without any,
                all that wraps is taken off.
            part (str, optional): Take only what begins so, such as ``'backbone.'``,
                where there is such a name; this is taken off, too.
        """
        wanted = set(wanted)
        levels = []
        for off, level in unwrapped({name: name for name in self.weights}):
            passed = set(second_set(level).values()) - wanted
            names = {new: old for new, old in level.items() if new not in passed}
            levels.append((beginning_with(part, names), off, bool(passed)))
        # The most names that fit, and among equals the barest.
        names, off, second = max(
            levels[::-1], key=lambda level: len(wanted & level[0].keys())
        )
        prefix = f'without the prefix {off!r} of all names' if off else ''
        second = f'without the second set under {SECOND!r}' if second else ''
        taken = ', '.join(filter(None, (self.taken, prefix, second)))
        if taken:
            print_log(f'{self.path}: its weights are taken {taken}.', logger='current')
        weights = {new: self.weights[old] for new, old in names.items()}
        return self._replace(weights=weights, taken=taken, under=self.under + off)


def read_checkpoint(
    path: str, places: Sequence[str] = PLACES, prefix: Optional[str] = None
) -> Checkpoint:
    """Read a file of weights; no code in it is run.

    Args:
        path (str): Path or URL.
        places (Sequence[str]): Where to look for weights: keys of the file, or ``''``
            for its top. Defaults to :data:`PLACES`. Other places that hold weights,
            such as ``ema_state_dict``, are named in :attr:`Checkpoint.taken`.
        prefix (str, optional): What the names of the wanted network begin with in a
            file of several, such as ``'teacher.'``; it is taken off.

    Raises:
        ConfigError: The prefix is no text.
        CheckpointError: The file is missing, cannot be read safely, holds no tensors
            by name, none that begin so, or some that are no weights: NaN, infinite,
            sparse, quantised.
    """
    path = str(path)
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except (KeyError, ImportError, OSError) as error:  # torchvision://NAME, s3://, ...
        raise CheckpointError(
            f'{path} cannot be read ({type(error).__name__}: {error}): check its name, '
            'or give the path of a local copy.'
        ) from error
    return checkpoint_of(path, content, places, prefix)


def checkpoint_of(
    path: str,
    content: Any,
    places: Sequence[str] = PLACES,
    prefix: Optional[str] = None,
) -> Checkpoint:
    """Find the weights in what was loaded.

    Args:
        path (str): Path or URL, for messages.
        content: What is in the file.
        places (Sequence[str]): See :func:`read_checkpoint`.
        prefix (str, optional): See :func:`read_checkpoint`.

    Raises:
        ConfigError: The prefix is no text.
        CheckpointError: It holds no tensors by name, or none that begin so.
    """
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path} holds a {type(content).__name__}, not the weights of a '
            'model by name; give a checkpoint that OpenMMLab or torch saved of a '
            'state dict.'
        )
    held = {key: tensors_in(content.get(key) if key else content) for key in PLACES}
    place = next((key for key in places if held[key]), None)
    if place is None:
        where = ' or '.join(f'under {key!r}' if key else 'at the top' for key in places)
        keys = ', '.join(map(repr, list(content)[:5])) or 'nothing'
        elsewhere = [repr(key) for key, value in content.items() if tensors_in(value)]
        advice = 'give a checkpoint that OpenMMLab or torch saved of a state dict'
        if elsewhere:
            advice = (
                f'it has weights under {", ".join(elsewhere)}: save those of the '
                "network under 'state_dict'"
            )
        raise CheckpointError(
            f'{path} has no state dict {where}; it begins with {keys}; {advice}.'
        )
    others = [repr(key) for key in PLACES if key not in ('', place) and held[key]]
    taken = f'under {place!r}' if others or place not in ('', 'state_dict') else ''
    taken += f', not {", ".join(others)}' if others else ''
    weights, under = held[place], ''
    if prefix is not None:
        under, names = chosen(prefix, weights, path)
        weights = {new: weights[old] for new, old in names.items()}
        own = f'from the names that begin with {under!r}'
        taken = ', '.join(filter(None, (taken, own)))
    check_tensors(path, weights)
    meta = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    return Checkpoint(path, weights, meta, taken, under)


def write_checkpoint(path: Path, weights: Dict[str, Tensor], meta: dict) -> None:
    """Write weights and ``meta`` as MMEngine reads them, in one step."""
    buffer = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=weights), buffer)
    write_bytes(path, buffer.getvalue())
