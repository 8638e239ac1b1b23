"""Finding the checkpoint to go on from."""

import os
import re
import string
import zipfile
from math import inf
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from mmengine.config import Config
from mmengine.logging import print_log

from mmkd.errors import CheckpointError, explained

#: Names of MMEngine's checkpoints, where a config does not say.
NAMES = ('epoch_{}.pth', 'iter_{}.pth')
#: What the Runner needs of a checkpoint to go on, and what it is called.
PARTS = dict(
    state_dict='weights', optimizer='state of the optimizer', message_hub='log history'
)


def newest_checkpoint(
    work_dir: Path, hooks: Iterable[dict] = (), until: float = inf
) -> Optional[Path]:
    """Return the checkpoint that a training has come furthest with.

    Only whole ones of this work dir count: each is looked through, and what is passed
    over is said in one line. ``last_checkpoint``, dates and what was best do not
    matter.

    Args:
        work_dir (Path): Folder of the training.
        hooks (Iterable[dict]): How the config has checkpoints saved, see
            :func:`checkpoint_hooks`. Defaults to MMEngine's names in the work dir.
        until (float): The last epoch or iteration that may be taken. Defaults to any.

    Returns:
        Path, optional: None where nothing is saved.

    Raises:
        CheckpointError: There are checkpoints, and none of them is whole.
    """
    whole, broken = [], {}
    for folder, name in _places(Path(work_dir), hooks):
        for step, path in _numbered(folder, name):
            if step > until:
                continue
            try:
                meta = read_training(path)['meta']
                if step not in (meta['epoch'], meta['iter']):
                    raise CheckpointError(
                        f'{path} is of epoch {meta["epoch"]} and iteration '
                        f'{meta["iter"]}, unlike its name.'
                    )
            except CheckpointError as error:
                broken[path] = str(error).rstrip('.')
                continue
            whole.append((meta['iter'], meta['epoch'], path))
            break
    if not whole and not broken:
        return None
    if not whole:
        path, why = next(iter(broken.items()))
        raise CheckpointError(
            f'none of the {len(broken)} checkpoints in {path.parent} can be resumed '
            f'from ({why}); give another with --resume PATH, start a new training '
            'from weights in another work dir (load_from=PATH), or delete them to '
            'start at the beginning.'
        )
    newest = max(whole)[-1]
    if broken:
        print_log(
            f'Going on from {newest}, since {"; ".join(broken.values())}.',
            logger='current',
        )
    return newest


def checkpoint_hooks(cfg: Config) -> List[dict]:
    """Return the settings of all hooks of a config that save checkpoints."""
    hooks = [*(cfg.get('default_hooks') or {}).values()]
    hooks += cfg.get('custom_hooks') or []
    return [
        hook
        for hook in hooks
        if isinstance(hook, dict) and str(hook.get('type')).endswith('CheckpointHook')
    ]


def read_training(path: Path) -> Dict[str, Any]:
    """Read a checkpoint without the numbers in its tensors.

    Returns:
        dict: What MMEngine saved; tensors are on torch's device ``'meta'``.

    Raises:
        CheckpointError: It is missing, damaged, or no training can go on from it.
    """
    from mmkd.compat.checkpoints import safe_load

    if path.exists() and not path.is_file():
        raise CheckpointError(f'{path} is no file; delete it.')
    with explained(f'{path} is damaged', 'delete it', CheckpointError):
        if zipfile.is_zipfile(path):
            # torch does not look whether the numbers are those that were saved.
            with zipfile.ZipFile(path) as file:
                torn = file.testzip()
            if torn is not None:
                raise CheckpointError(f'{path} is damaged (in {torn}); delete it.')
        content = safe_load(str(path), map_location='meta')
    check_training(content, path)
    return content


def check_training(content: Any, path: Path) -> None:
    """Check that a training can go on from what a checkpoint holds.

    Args:
        content: What was loaded.
        path (Path): Of what file, for messages.

    Raises:
        CheckpointError: It lacks something.
    """
    content = content if isinstance(content, dict) else {}
    missing = [
        called
        for key, called in PARTS.items()
        if not (isinstance(content.get(key), dict) and content[key])
    ]
    hub = content.get('message_hub') or {}
    if isinstance(hub, dict) and not all(isinstance(x, dict) for x in hub.values()):
        missing.append('log history')
    if not isinstance(content.get('param_schedulers', []), (list, dict)):
        missing.append('state of the schedules')
    meta = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    counts = [meta.get(key) for key in ('epoch', 'iter')]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        missing.append('count of epochs and iterations')
    if missing:
        raise CheckpointError(
            f'{path} cannot be resumed from: it has no {" and no ".join(missing)}; '
            'give a checkpoint that a training saved, or start a new training from '
            'its weights with load_from and without --resume.'
        )


def remove_superseded(
    folder: Path, template: str, names: Iterable[str], step: int
) -> None:
    """Remove older checkpoints that a kill kept from being removed.

    Args:
        folder (Path): Where they are.
        template (str): As of ``CheckpointHook``; what is named otherwise stays.
        names (Iterable[str]): What was to be removed.
        step (int): Of the checkpoint that a training goes on from.
    """
    for name in map(str, names):
        match = re.fullmatch(_pattern(template), name)
        if match and int(match.group(1)) < step:
            (folder / name).unlink(missing_ok=True)


def folder_of(hook: dict, work_dir: Path) -> Optional[Path]:
    """Return where a hook saves, as MMEngine does; None where that is no folder."""
    out = str(hook.get('out_dir') or work_dir)
    if '://' in out:
        return None
    same = Path(out).absolute() == Path(work_dir).absolute()
    return Path(work_dir) if same else Path(out) / Path(work_dir).absolute().name


def _places(work_dir: Path, hooks: Iterable[dict]) -> List[Tuple[Path, str]]:
    """Return the folders and the patterns of names to look through."""
    places = {}
    for hook in [*hooks] or [{}]:
        folder = folder_of(hook, work_dir)
        for name in (hook.get('filename_tmpl'), *NAMES) if folder else ():
            if name:
                below, name = os.path.split(name)
                places[folder / below, _pattern(name)] = None
    return list(places)


def _pattern(template: str) -> str:
    parts = string.Formatter().parse(template)
    return ''.join(
        re.escape(text) + ('' if field is None else '(\\d+)')
        for text, field, *_ in parts
    )


def _numbered(folder: Path, pattern: str) -> Iterator[Tuple[int, Path]]:
    """Give the files of such names, the highest number first."""
    paths = folder.iterdir() if folder.is_dir() else ()
    matches = [(re.fullmatch(pattern, path.name), path) for path in paths]
    numbers = [(int(match.group(1)), path) for match, path in matches if match]
    return iter(sorted(numbers, reverse=True))
