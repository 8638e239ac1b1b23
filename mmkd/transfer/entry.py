"""What to probe, as it is named on the command line."""

import re
from pathlib import Path
from typing import List, NamedTuple, Optional, Union

from mmkd.errors import ConfigError

from .network import Network
from .pixels import Pixels

#: Stand-ins for checkpoints: the floor of a comparison.
RANDOM, PIXELS = 'random', 'pixels'
#: Names that trainings give their checkpoints, which tell nothing of what was trained.
STEPS = re.compile(r'(epoch|iter)_\d+|latest|last|(best_.*)')
#: How files of configs end.
CONFIGS = ('.py', '.json', '.yaml', '.yml')


class Entry(NamedTuple):
    """One checkpoint, or what stands in for it.

    Args:
        name (str): Its name in tables. Entries of one name are runs of one method.
        checkpoint (str): A path or URL, ``'random'`` or ``'pixels'``.
        config (str): Path of its config.
        prefix (str, optional): See :class:`Network`.
    """

    name: str
    checkpoint: str
    config: str
    prefix: Optional[str] = None

    def build(
        self,
        *,
        input_size: Optional[int] = None,
        seed: int = 0,
        device: Optional[str] = None,
    ) -> Union[Network, Pixels]:
        """Make what gives its features.

        Args:
            input_size (int, optional): See :class:`Transform`.
            seed (int): Of random weights.
            device (str, optional): See :class:`Network`.
        """
        if self.checkpoint == PIXELS:
            return Pixels(self.config, self.name, input_size=input_size)
        return Network(
            self.config,
            None if self.checkpoint == RANDOM else self.checkpoint,
            self.name,
            input_size=input_size,
            seed=seed,
            device=device,
            prefix=self.prefix,
        )


def parse_entries(
    texts: List[str], config: str, prefix: Optional[str] = None
) -> List[Entry]:
    """Read entries ``[NAME=]CHECKPOINT[@CONFIG]``.

    Without a name, the part of the path that tells an entry from the others is taken.

    Args:
        texts (list[str]): The entries.
        config (str): Config of those that name none.
        prefix (str, optional): What a network's names begin with in files of several.

    Raises:
        ConfigError: An entry has no checkpoint, two are the same, or one without a name
            would be named as another.
    """
    entries = []
    for text in texts:
        name, equals, rest = text.partition('=')
        if not equals or '/' in name:  # a path or URL may have one, too
            name, rest = '', text
        checkpoint, _, own = rest.rpartition('@')
        if not (own.endswith(CONFIGS) or '::' in own):  # an @ of the path's own
            checkpoint, own = rest, ''
        if not checkpoint:
            raise ConfigError(
                f'{text!r} names no checkpoint; give [NAME=]CHECKPOINT[@CONFIG], with '
                f'{RANDOM!r} or {PIXELS!r} in place of a checkpoint for the floor.'
            )
        entries.append(Entry(name, checkpoint, own or config, prefix))
    short = _short([entry.checkpoint for entry in entries])
    named = [
        entry._replace(name=entry.name or given) for entry, given in zip(entries, short)
    ]
    names = [entry.name for entry in named]
    for entry, given in zip(named, entries):
        if named.count(entry) > 1:
            raise ConfigError(f'{entry.name}={entry.checkpoint} is given twice.')
        # Runs of one method are what the caller says are.
        if not given.name and names.count(entry.name) > 1:
            raise ConfigError(
                f'{entry.checkpoint} would be named {entry.name} as another entry is; '
                'name it: NAME=CHECKPOINT.'
            )
    return named


def name_of(checkpoint: str) -> str:
    """Return a name for a checkpoint: its file's, or of a training its folder's."""
    path = Path(checkpoint)
    folder = path.absolute().parent.name
    return folder if STEPS.fullmatch(path.stem) and folder else path.stem


def _short(paths: List[str]) -> List[str]:
    """Shorten each path to what differs among them, or to the file's name."""
    files = [Path(path) for path in paths if path not in (RANDOM, PIXELS)]
    parts = [file.with_suffix('').parts for file in files]
    same = {
        part for part in set().union(*parts) if all(part in other for other in parts)
    }
    names = {}
    for file, own in zip(files, parts):
        kept = [part for part in own if part not in same] or [name_of(str(file))]
        names[str(file)] = '/'.join(kept)
    return [names.get(str(Path(path)), path) for path in paths]
