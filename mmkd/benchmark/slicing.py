"""Teachers of all classes made teachers of the first ones."""

from pathlib import Path
from typing import Optional

from mmengine.config import Config

from mmkd.checkpoints import read_checkpoint, write_checkpoint
from mmkd.configs import teachers_of
from mmkd.errors import CheckpointError

from .hashes import digest

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
        source, prefix = teacher.get('checkpoint'), teacher.pop('prefix', None)
        if source is None:
            continue
        stem = '_'.join(filter(None, (Path(source).stem, (prefix or '').strip('.'))))
        name = f'{stem}_first{classes}_{digest(source)[:8]}.pth'
        target = folder / name
        if not target.exists():
            write_slice(source, target, classes, prefix)
        teacher.checkpoint = str(target)


def write_slice(
    source: str, target: Path, classes: int, prefix: Optional[str] = None
) -> None:
    """Write the part of a classifier's checkpoint that knows the first classes.

    Args:
        source (str): Path or URL; no code in it is run.
        target (Path): File to write.
        classes (int): How many rows of ``head.fc`` to keep.
        prefix (str, optional): What the teacher's names begin with in a file of several
            networks.

    Raises:
        CheckpointError: It has no such rows.
    """
    checkpoint = read_checkpoint(source, prefix=prefix).fitting(HEAD)
    state = checkpoint.weights
    weight = state.get(HEAD[0])
    if weight is None or len(weight) < classes:
        held = 'no such tensor' if weight is None else f'{len(weight)} rows'
        raise CheckpointError(
            f'{source} must hold {HEAD[0]} with at least {classes} rows to keep '
            f'{classes} classes; it has {held}.'
        )
    for key in HEAD:
        if key in state:
            state[key] = state[key][:classes].clone()
    names = checkpoint.classes
    names = {} if names is None else dict(classes=names[:classes])
    write_checkpoint(target, state, dict(dataset_meta=names))
