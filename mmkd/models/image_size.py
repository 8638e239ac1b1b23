"""Height and width of images: of arguments, and as networks say them."""

from typing import Optional, Sequence, Tuple, Union

from torch import nn

from mmkd.errors import ConfigError

#: Where a module keeps the size of its images: in mmpretrain and timm, in patch
#: embeddings of MMCV's kind, in Hugging Face, in SSD's priors.
SIZES = (
    'img_size',
    'image_size',
    'init_input_size',
    'config.image_size',
    'prior_generator.input_size',
)


def pixels(name: str, size: Union[int, Sequence[int]]) -> Tuple[int, int]:
    """Return height and width.

    Args:
        name (str): Of the argument, for the message.
        size (int | Sequence[int]): One number for both, or a pair.

    Raises:
        ConfigError: It is neither, or not above 0.
    """
    pair = _pair(size)
    if pair is None:
        raise ConfigError(
            f'{name} must be a number of pixels, or height and width, got {size!r}.'
        )
    return pair


def size_of(network: nn.Module) -> Optional[Tuple[int, int]]:
    """Return height and width that a network says it is made for, None if it does not.

    The outermost of its modules that says something counts: blocks inside keep the
    sizes of their maps under the same names.
    """
    for module in network.modules():
        for name in SIZES:
            size = module
            for part in name.split('.'):
                size = getattr(size, part, None)
            if _pair(size) is not None:
                return _pair(size)
    return None


def _pair(size):
    pair = (size, size) if type(size) is int else size
    whole = isinstance(pair, (list, tuple)) and all(type(side) is int for side in pair)
    return tuple(pair) if whole and len(pair) == 2 and min(pair) > 0 else None
