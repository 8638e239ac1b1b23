"""Command lines of the tools: one kind of parser, and the kinds of values."""

import argparse
import math
import os
from typing import Callable

from mmengine.config import DictAction

from mmkd.errors import ConfigError

QUOTE = (
    'give KEY=VALUE, lists as "KEY=[1,2]" in quotes and without spaces, an empty text '
    'as "KEY=\'\'"'
)


def parser(description: str) -> argparse.ArgumentParser:
    """Make a tool's parser: its help keeps lines and tells defaults.

    Args:
        description (str): The tool's ``__doc__``.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=_Help)
    made.add_argument(
        '--debug',
        action=_Debug,
        nargs=0,
        help='show where an error arose, as MMKD_DEBUG=1 does',
    )
    return made


def add_options(parser: argparse.ArgumentParser, whose: str = 'of the config') -> None:
    """Add ``--cfg-options``, for :func:`mmkd.configs.load_config`."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        metavar='KEY=VALUE',
        help=f'overwrite values {whose}: nested by dots, lists as "KEY=[a,b]" without '
        'spaces',
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that training and testing have in common, as upstream's."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (default: work_dirs/NAME_OF_CONFIG)',
    )
    add_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def whole(least: int = 1, most: float = math.inf) -> Callable[[str], int]:
    """Return an argument's type: whole numbers of a range."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f'{text!r} is no whole number {_range(least, most)}'
            )
        return value

    return read


#: What NumPy and torch take as a seed.
seed = whole(0, 2**32 - 1)


def number(
    least: float = -math.inf, most: float = math.inf, above: float = -math.inf
) -> Callable[[str], float]:
    """Return an argument's type: finite numbers of a range."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most and value > above):
            limits = f'above {above:g}' if above > least else f'from {least:g}'
            limits += f' to {most:g}' if most < math.inf else ''
            raise argparse.ArgumentTypeError(f'{text!r} is no number {limits}')
        return value

    return read


def _range(least, most):
    return f'from {least} to {most}' if most < math.inf else f'of at least {least}'


class _Help(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Keeps the lines of a description; tells defaults that say something."""

    def _get_help_string(self, action):
        silent = action.default is None or action.default is False
        if silent or action.default == [] or 'default' in action.help:
            return action.help
        if isinstance(action.default, (list, tuple)):
            return f'{action.help} (default: {" ".join(map(str, action.default))})'
        return super()._get_help_string(action)


class _Debug(argparse.Action):
    """Sets ``MMKD_DEBUG``, which the processes that a tool starts inherit."""

    def __call__(self, parser, namespace, values, option_string=None):
        os.environ['MMKD_DEBUG'] = '1'


class _Options(DictAction):
    """Reads KEY=VALUE; what is none is refused in a sentence."""

    def __call__(self, parser, namespace, values, option_string=None):
        for text in values:
            key, equals, value = text.partition('=')
            if not (key.strip() and equals and value):
                raise ConfigError(f'--cfg-options: {text!r} is no KEY=VALUE; {QUOTE}.')
            if value.startswith('{') and value.endswith('}'):
                raise ConfigError(
                    f'--cfg-options: {text!r} is a dict; set what is in it one by one, '
                    f'as in {key}.NAME=VALUE.'
                )
            try:
                self._parse_iterable(value)
            except AssertionError:
                raise ConfigError(
                    f'--cfg-options: the brackets of {text!r} do not match; {QUOTE}.'
                ) from None
        super().__call__(parser, namespace, values, option_string)
