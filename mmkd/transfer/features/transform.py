"""From an image of any size to the pixels that a network takes."""

import json
from typing import Iterator, List, Optional

import numpy as np
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmkd.configs import datasets_of, name_of, student_of
from mmkd.errors import ConfigError

#: Sizes of the data sets that lie in memory and so need no pipeline.
SIZES = dict(CIFAR10=32, CIFAR100=32, DigitImages=32)
#: What a test pipeline does beside changing the image.
AROUND = ('Load', 'Pack', 'Collect')


class Transform:
    """What a network's own test pipeline does to an image, without normalisation.

    Args:
        cfg (Config): The network's config. Its test pipeline is taken, less loading
            and packing.
        input_size (int, optional): Resize the short edge to this and cut out the
            central square instead, with Pillow's antialiased bilinear filter.

    Raises:
        ConfigError: There is neither a test pipeline nor an ``input_size``.
    """

    def __init__(self, cfg: Config, input_size: Optional[int] = None) -> None:
        if input_size is not None and input_size < 1:
            raise ConfigError(
                f'input_size={input_size}, but it is a number of pixels from 1 on.'
            )
        # What reads the test images; of several, the first.
        dataset = next(iter(datasets_of(cfg.get('test_dataloader'))), {})
        pipeline = list(dataset.get('pipeline') or [])
        loads = any('Load' in name_of(step) for step in pipeline)
        own = [step for step in pipeline if not name_of(step).startswith(AROUND)]
        # Files are loaded as BGR, CIFAR's arrays are RGB: networks rely on it. Where
        # nothing is said, what the preprocessor flips to RGB has to be BGR.
        self.bgr = loads if dataset else _flips(cfg)
        kept = loads or bool(own)
        size = input_size or (None if kept else SIZES.get(name_of(dataset)))
        if size is not None:
            self.steps = _resized(size)
        elif kept:
            self.steps = own
        else:
            raise ConfigError(
                'the config has no test pipeline that says how large images are to '
                'be; give input_size (--input-size), 32 for networks of CIFAR.'
            )
        scope = None if size is not None else cfg.get('default_scope')
        with DefaultScope.overwrite_default_scope(scope or 'mmpretrain'):
            self._compose = Compose([dict(step) for step in self.steps])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return uint8 ``(3, H, W)``, in the channel order of the network's loader.

        Args:
            image (np.ndarray): RGB, uint8 ``(H, W, 3)``.
        """
        image = image[..., ::-1] if self.bgr else image
        shape = image.shape[:2]
        results = self._compose(
            dict(img=np.ascontiguousarray(image), img_shape=shape, ori_shape=shape)
        )
        return np.ascontiguousarray(results['img'].transpose(2, 0, 1))

    def parts(self) -> Iterator[object]:
        """Give what does it: this, the steps, and the steps within them."""
        yield self
        yield from _nested(self._compose)

    def __repr__(self) -> str:
        # A config that was written out again has its keys in another order.
        steps = json.dumps(self.steps, sort_keys=True, default=str)
        return f'{"BGR" if self.bgr else "RGB"}, {steps}'


def _nested(step) -> Iterator[object]:
    yield step
    for inner in getattr(step, 'transforms', ()):
        yield from _nested(inner)


def _flips(cfg) -> bool:
    model = cfg.get('model') or {}
    model = student_of(model)
    own = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    return bool(own.get('to_rgb') or own.get('bgr_to_rgb'))


def _resized(size: int) -> List[dict]:
    resize = dict(type='ResizeEdge', scale=size, edge='short', backend='pillow')
    return [resize, dict(type='CenterCrop', crop_size=size)]
