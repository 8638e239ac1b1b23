"""Names of weights in a file: what wraps them all, and whose are side by side."""

from collections import Counter
from typing import Dict, Iterable, Iterator, Optional, Tuple

from mmkd.errors import CheckpointError, ConfigError

#: What wrappers put before all names.
PREFIXES = ('module.', 'model.', 'student.')
#: What averaged models count, beside what they wrap.
COUNTERS = ('steps', 'n_averaged')
#: Before the names of what a Distiller's losses learn.
EXTRAS = 'distill.'
#: Before those of a second set of weights, in which mmcv 1 has '_' for each dot. Its
#: EMAHook exchanges the two before it saves, so that the averages have the plain names.
SECOND = 'ema_'

#: Names in the file by the names that are wanted.
Names = Dict[str, str]


def unwrapped(names: Names) -> Iterator[Tuple[str, Names]]:
    """Give the names as they are, then less each prefix that wraps all of them.

    Yields:
        tuple[str, dict[str, str]]: What was taken off, and the names in the file by
        what is left of them.
    """
    off = ''
    while True:
        names = {new: old for new, old in names.items() if not new.startswith(EXTRAS)}
        yield off, names
        inside = [name for name in names if name not in COUNTERS]
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in inside)), '')
        if not (inside and prefix):
            return
        off += prefix
        names = {name[len(prefix) :]: names[name] for name in inside}


def beginning_with(part: Optional[str], names: Names) -> Names:
    """Keep the names that begin so, without that, where there are any."""
    if not part or not any(name.startswith(part) for name in names):
        return names
    return {n[len(part) :]: old for n, old in names.items() if n.startswith(part)}


def chosen(prefix: str, names: Iterable[str], path: str) -> Tuple[str, Names]:
    """Take one network's names out of a file of several.

    Args:
        prefix (str): What they begin with, such as ``'teacher.'``, perhaps after what
            wraps all names. A dot at its end may be left out, as in MMEngine.
        names (Iterable[str]): All names in the file.
        path (str): The file, for messages.

    Returns:
        tuple[str, dict[str, str]]: What was taken off, and the names in the file by
        what is left of them.

    Raises:
        ConfigError: The prefix is no text.
        CheckpointError: No name begins so.
    """
    if not isinstance(prefix, str) or not prefix:
        raise ConfigError(
            f'prefix must be what the names of the weights begin with in {path}, such '
            f"as 'teacher.', got {prefix!r}; leave it out to take all."
        )
    names = {name: name for name in names}
    if prefix == SECOND and second_set(names):
        return prefix, second_set(names)
    prefix = prefix if prefix.endswith(('.', '_')) else f'{prefix}.'
    for off, level in unwrapped(names):
        inside = beginning_with(prefix, level)
        if inside is not level:
            return off + prefix, inside
    starts = Counter(name.partition('.')[0] for name in names if '.' in name)
    known = ', '.join(f"'{start}.' ({n})" for start, n in starts.most_common(6))
    raise CheckpointError(
        f'{path} has no weights whose names begin with {prefix!r}; they begin with '
        f'{known or "no prefix"}; give one of these as prefix, or none to take all.'
    )


def second_set(names: Iterable[str]) -> Names:
    """Return the names in a file of a second set of weights by those of the first."""
    flat = {SECOND + name.replace('.', '_'): name for name in names}
    return {flat[name]: name for name in names if name in flat}
