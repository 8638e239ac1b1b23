"""Teachers of all classes made teachers of the first ones."""

import hashlib
import io
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmkd.configs import teachers_of
from mmkd.errors import CheckpointError

HEAD = ('head.fc.weight', 'head.fc.bias')


def slice_teachers(cfg: Config, classes: int, folder: Path) -> None:
    """Give each teacher of a config a checkpoint of the first classes, in place.

    Its logits for them stay what they were. A file is named after its source and the
    digest of that, so that other weights make another file.

    Args:
        cfg (Config): As :func:`mmkd.benchmark.shrink.shrink` returns it.
        classes (int): How many to keep.
        folder (Path): Where to write ``NAME_firstN_DIGEST.pth``.

    Raises:
        CheckpointError: A file cannot be read safely, or is of no linear classifier.
    """
    for teacher in teachers_of(cfg.model).values():
        source = teacher.get('checkpoint')
        if source is None:
            continue
        name = f'{Path(source).stem}_first{classes}_{digest(source)[:8]}.pth'
        target = folder / name
        if not target.exists():
            write_slice(source, target, classes)
        teacher.checkpoint = str(target)


def write_slice(source: str, target: Path, classes: int) -> None:
    """Write the part of a classifier's checkpoint that knows the first classes.

    Args:
        source (str): Path or URL; no code in it is run.
        target (Path): File to write.
        classes (int): How many rows of ``head.fc`` to keep.

    Raises:
        CheckpointError: It has no such rows.
    """
    checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    state = checkpoint.get('state_dict', checkpoint)
    state = {
        key[7:] if key.startswith('module.') else key: value
        for key, value in state.items()
    }
    weight = state.get(HEAD[0])
    if weight is None or len(weight) < classes:
        found = 'no such tensor' if weight is None else f'{len(weight)} rows'
        raise CheckpointError(
            f'{source} must hold {HEAD[0]} with at least {classes} rows to keep '
            f'{classes} classes; it has {found}.'
        )
    for key in HEAD:
        if key in state:
            state[key] = state[key][:classes].clone()
    known = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    names = {
        key: tuple(names)[:classes]
        for key, names in known.items()
        if key.lower() == 'classes'
    }
    buffer = io.BytesIO()
    torch.save(dict(meta=dict(dataset_meta=names), state_dict=state), buffer)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + '.part')
    part.write_bytes(buffer.getvalue())
    os.replace(part, target)


def digest(checkpoint: str) -> str:
    """Return the SHA-256 of a file, or of a URL's text, as 64 hexadecimal digits."""
    path = Path(checkpoint)
    data = path.read_bytes() if path.is_file() else checkpoint.encode()
    return hashlib.sha256(data).hexdigest()
