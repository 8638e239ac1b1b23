"""A place for results, taken before the work."""

import argparse
import json
from pathlib import Path
from typing import Any, Dict

from mmengine.logging import print_log

from mmkd.errors import ConfigError, DamagedError
from mmkd.files import check_writable

from .artifact import Artifact

#: Arguments of tools that do not change what comes out.
ASIDE = ('out', 'cache', 'workers', 'device', 'batch_size', 'debug')


def claim(args: argparse.Namespace, *names: str) -> Dict[str, Any]:
    """Try where artifacts are to be written, before the work, and spare other results.

    Those of the same settings are written over.

    Args:
        args (Namespace): A tool's arguments; ``out`` is the folder.
        names (str): Of the artifacts.

    Returns:
        dict: What the tool was asked for, for :attr:`Artifact.settings`.

    Raises:
        ConfigError: There is a result of other settings, or another file.
        DataError: There is a result of another version.
        OutputError: One cannot be written.
    """
    settings = {key: value for key, value in vars(args).items() if key not in ASIDE}
    settings = json.loads(json.dumps(settings, default=str))  # as they are read again
    for path in (Path(args.out) / f'{name}.json' for name in names):
        check_writable(path)
        try:
            artifact = Artifact.read(path)
        except DamagedError as error:
            print_log(f'{error} It is made again.', 'current')
            continue
        if path.exists() and artifact is None:
            raise ConfigError(f'{path} is no result of this tool; give another --out.')
        if artifact is not None and artifact.settings != settings:
            other = _other(artifact.settings, settings)
            raise ConfigError(
                f'{path} holds a result of other settings ({other}); give another '
                '--out, or delete it.'
            )
    return settings


def _other(written, wanted) -> str:
    """Say how the settings differ, at the first place."""
    if not written:
        return 'of an older mmkd, which did not note them'
    names = [*wanted, *written]
    name = next(key for key in names if written.get(key) != wanted.get(key))
    return f'{name}={written.get(name)!r}, wanted is {wanted.get(name)!r}'
