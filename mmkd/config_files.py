"""Reading config files, and what can be wrong with one."""

import ast
import importlib.util
import itertools
import os.path as osp
import traceback
from typing import Iterator, List, Sequence

from mmengine.config import Config
from mmengine.fileio import load

from mmkd.errors import ConfigError

ENDINGS = ('.py', '.yaml', '.yml', '.json')
EXAMPLE = 'package::path, as in mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
#: Most characters of another package's message.
LONGEST = 300


def read_config(path: str) -> Config:
    """Read a config file, or one of an installed package, with its bases.

    Args:
        path (str): A path, or ``package::path``.

    Raises:
        ConfigError: It is no config file, a base or a package is missing, bases form a
            circle, or a statement in one of the files fails.
    """
    _check_path(path)
    try:
        if '::' in path:
            return Config.fromstring(f'_base_ = {path!r}', '.py')
        _check_circle(path)
        return Config.fromfile(path)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'config {path}: {error}; a base of another package (package::path) needs '
            'that package: pip install it.'
        ) from error
    except ImportError as error:
        # MMEngine's own message is a page long, and its causes end in this one.
        cause = error
        while cause.__context__ is not None:
            cause = cause.__context__
        raise ConfigError(
            f'config {path}: custom_imports cannot be imported: {cause}; check the '
            "module's name, and that the folder it is named from is on PYTHONPATH "
            '(PYTHONPATH=. for this one).'
        ) from error
    except FileNotFoundError as error:
        raise ConfigError(
            f'config {path} cannot be read: {error}; give a path from here or '
            f'{EXAMPLE}.'
        ) from error
    except (Exception, SystemExit) as error:  # of any statement in it
        raise ConfigError(
            f'config {path} is not valid: {_flat(error)}{_place(error)}; correct it '
            'there.'
        ) from error


def imported_bases(path: str) -> Iterator[str]:
    """Give the files that a config imports under ``with read_base():``, not theirs."""
    with open(path, encoding='utf-8') as file:
        body = ast.parse(file.read()).body
    blocks = [node.body for node in body if isinstance(node, ast.With)]
    for node in itertools.chain(*blocks):
        if node.level:
            above = [osp.dirname(path), *['..'] * (node.level - 1)]
            yield osp.join(*above, *node.module.split('.')) + '.py'
        else:
            yield importlib.util.find_spec(node.module).origin


def _check_path(path):
    if '::' in path:
        package, _, file = path.partition('::')
        if not package.isidentifier() or '/' not in file:
            raise ConfigError(
                f'config {path} is no package::folder/file.py; give a path from here '
                f'or {EXAMPLE}.'
            )
    elif osp.isdir(path):
        raise ConfigError(
            f'config {path!r} is a folder; give a file in it, a path from here, or '
            f'{EXAMPLE}.'
        )
    elif osp.isfile(path) and not path.endswith(ENDINGS):
        raise ConfigError(
            f'config {path} ends in none of {", ".join(ENDINGS)}; rename it after '
            'what is in it, or give another file.'
        )
    elif osp.isfile(path) and not path.endswith('.py'):
        _check_mapping(path)


def _check_mapping(path):
    try:
        values = load(path)
    except Exception as error:
        raise ConfigError(
            f'config {path} is not valid: {_flat(error)}; correct it there.'
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            f'config {path} holds {type(values).__name__}, not names with values; '
            'write it as a mapping, such as model: ...'
        )


def _check_circle(path: str, above: Sequence[str] = ()) -> None:
    """Refuse bases that lead back to a config, which MMEngine follows for long."""
    path = osp.realpath(path)
    if path in above:
        circle = ' -> '.join(map(osp.basename, [*above[above.index(path) :], path]))
        raise ConfigError(
            f'config {above[0]}: its bases form a circle, {circle}; take one of these '
            '_base_ out.'
        )
    for base in _local_bases(path):
        if osp.isfile(base):
            _check_circle(base, (*above, path))


def _local_bases(path: str) -> List[str]:
    """Return the bases that a file names, but for those of other packages."""
    try:
        if not path.endswith('.py'):
            named = load(path).get('_base_', [])
        else:
            with open(path, encoding='utf-8') as file:
                body = ast.parse(file.read()).body
            named = [
                ast.literal_eval(node.value)
                for node in body
                if isinstance(node, ast.Assign)
                and getattr(node.targets[0], 'id', None) == '_base_'
            ]
            named = named[0] if named else []
            if not named:
                return list(imported_bases(path))
        named = [named] if isinstance(named, str) else named
        return [osp.join(osp.dirname(path), base) for base in named if '::' not in base]
    except Exception:  # what is wrong with it shows when it is read
        return []


def _flat(error: BaseException) -> str:
    """Return an exception's type and text in one line."""
    text = ' '.join(str(error).split()).rstrip('.')
    text = text if len(text) <= LONGEST else f'{text[:LONGEST]}...'
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _place(error: BaseException) -> str:
    """Say which line of which file failed, as far as it was run."""
    lines = [
        line
        for line in traceback.extract_tb(error.__traceback__)
        if line.name == '<module>'
    ]
    return f' (line {lines[-1].lineno} of {lines[-1].filename})' if lines else ''
