"""A detection set of real handwritten digits, made on the spot."""

import inspect
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Optional, Union

from mmdet.datasets import CocoDataset

from mmkd.datasets.digit_scenes import CLASSES, VERSION, write_scenes
from mmkd.errors import ConfigError, DamagedError, DataError
from mmkd.files import read_json, writable, write_json
from mmkd.registry import DATASETS

#: Holds the parameters of a finished data set.
MARKER = 'digits.json'


def make_digits(
    root: Union[str, Path],
    num_train: int = 600,
    num_val: int = 120,
    size: int = 128,
    num_digits: tuple[int, int] = (3, 7),
    digit_size: tuple[int, int] = (16, 48),
    seed: int = 0,
    hold_out: bool = False,
) -> Path:
    """Write the data set unless it is there already.

    The result is ``root/{train,val}/*.png`` and
    ``root/annotations/instances_{train,val}.json``. Everything is written beside
    ``root`` and renamed in one step, so ``root`` is whole or absent, whichever
    process is killed and however many run at once.

    Args:
        root: Folder to make.
        num_train: Number of training scenes.
        num_val: Number of validation scenes; their digits are disjoint from the
            training scenes' digits.
        size: Width and height of a scene in pixels.
        num_digits: Fewest and most digits a scene is given; where no room is left
            it gets fewer.
        digit_size: Least and greatest height of a digit in pixels.
        seed: Seed of everything drawn; scenes depend on nothing else.
        hold_out: Take both parts from the training scenes' digits, the validation
            scenes' from the last quarter: to choose settings by.

    Returns:
        ``root``.

    Raises:
        ConfigError: A parameter is out of range.
        DataError: ``root`` holds something else.
        OutputError: ``root`` cannot be written.
    """
    params = dict(
        version=VERSION,
        num_train=num_train,
        num_val=num_val,
        size=size,
        num_digits=_as_list(num_digits),
        digit_size=_as_list(digit_size),
        seed=seed,
    )
    if hold_out:  # left out of the others' marker, as of before there were any
        params['hold_out'] = hold_out
    _check(params)
    root = Path(root)
    if _is_made(root, params):
        return root
    with writable(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        part = Path(tempfile.mkdtemp(prefix=f'.{root.name}.part-', dir=root.parent))
        try:
            write_scenes(part, params)
            write_json(part / MARKER, params)
            part.chmod(0o755)  # mkdtemp makes it private
            part.rename(root)
        except OSError:
            # Another process may have been first; its result is the same.
            if not _is_made(root, params):
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return root


def _as_list(value):
    """A tuple as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _check(params: dict) -> None:
    if params.get('hold_out', True) is not True:
        raise ConfigError(
            f'digits: hold_out={params["hold_out"]} is neither True nor False.'
        )
    for name, value in params.items():
        pair = name in ('num_digits', 'digit_size')
        numbers = value if pair else [value]
        least = 0 if name == 'seed' else 1
        if (
            not isinstance(numbers, list)
            or len(numbers) != 1 + pair
            or not all(isinstance(n, int) and n >= least for n in numbers)
            or numbers != sorted(numbers)
        ):
            kind = 'a pair (least, greatest) of whole numbers'
            kind = kind if pair else 'a whole number'
            raise ConfigError(f'digits: {name}={value} is not {kind} from {least} on.')
    low, high = params['digit_size']
    if low < 8 or 2 * high > params['size']:
        raise ConfigError(
            f'digits: digit_size={[low, high]} is not between 8 and half of '
            f'size={params["size"]}.'
        )


def _is_made(root: Path, params: dict) -> bool:
    """Whether ``root`` holds these digits; something else there is an error."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    if not (root / MARKER).is_file():
        raise DataError(
            f'{root} is not empty and not a set of digits; choose another folder.'
        )
    try:
        written = read_json(root / MARKER)
    except DamagedError:
        written = None
    if not isinstance(written, dict):
        raise DamagedError(
            f'{root / MARKER} is damaged; delete {root}, and the digits are made again.'
        )
    if written != params:
        keys = dict.fromkeys([*params, *written])
        names = ', '.join(k for k in keys if written.get(k) != params.get(k))
        raise DataError(
            f'{root} holds digits made with another {names}; delete that folder or '
            'choose another.'
        )
    return True


def _sweep(root: Path) -> None:
    """Remove what killed generations left behind, sparing those under way."""
    for part in root.parent.glob(f'.{root.name}.part-*'):
        with suppress(FileNotFoundError):  # finished meanwhile
            if time.time() - part.stat().st_mtime > 3600:
                shutil.rmtree(part, ignore_errors=True)


@DATASETS.register_module()
class DigitsDataset(CocoDataset):
    """The digits as an ordinary COCO data set, made on first use.

    Args:
        data_root: Folder of the data set.
        digits: Keyword arguments of :func:`make_digits`.
        kwargs: Everything :class:`mmdet.datasets.CocoDataset` takes.

    Raises:
        ConfigError: ``digits`` holds an unknown name or a bad value.
        DataError: ``data_root`` holds something else.
        OutputError: ``data_root`` cannot be written.
    """

    METAINFO = dict(
        classes=CLASSES,
        palette=[
            (214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14),
            (148, 103, 189), (140, 86, 75), (227, 119, 194), (127, 127, 127),
            (188, 189, 34), (23, 190, 207),
        ],
    )  # fmt: skip

    def __init__(
        self, *args, data_root: str, digits: Optional[dict] = None, **kwargs
    ) -> None:
        digits = dict(digits or {})
        known = set(inspect.signature(make_digits).parameters) - {'root'}
        if unknown := sorted(set(digits) - known):
            raise ConfigError(
                f'digits: unknown {", ".join(unknown)}; known are '
                f'{", ".join(sorted(known))}.'
            )
        make_digits(data_root, **digits)
        super().__init__(*args, data_root=data_root, **kwargs)
