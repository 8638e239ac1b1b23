"""Whether the images of a data set are there, whole and of the annotated size."""

import os
from pathlib import Path
from typing import Dict, List, Optional, Set

from mmengine.logging import print_log
from PIL import Image
from torch.utils.data import Dataset

from mmkd.datasets.class_folders import some
from mmkd.errors import DataError

from .leaves import infos_of, leaves_of

#: So many, spread over a data set, are opened.
OPENED = 64
BACKENDS = ('backend_args', 'file_client_args')
#: mmcv's, and mmkd's.
LOADERS = ('LoadImageFromFile', 'LoadImage')
ADVICE = 'fetch or unpack it again, or take it out of the annotations'


class Images:
    """Looks at the images of a data set's samples, one after the other.

    Whether a file is there is asked of its folder, listed once; some are opened.

    Args:
        loader (str): Whose data set it is, for messages.
        samples (int): How many there are.
    """

    def __init__(self, loader: str, samples: int) -> None:
        self.loader = loader
        self._stride = max(1, samples // OPENED)
        self._samples = 0
        self._present: Dict[str, Set[str]] = {}
        self._missing: List[str] = []
        self._deep: List[str] = []

    def add(self, info: dict) -> None:
        """Look at a sample's image, if it is a local file.

        Raises:
            DataError: It cannot be read as an image, ends early, or has another size
                than annotated.
        """
        path = info.get('img_path')
        if not isinstance(path, str) or '://' in path:
            return
        self._samples += 1
        if not self._is_there(path):
            self._missing.append(path)
        elif self._samples % self._stride == 0 or self._samples == 1:
            self._open(path, info)

    def check(self) -> None:
        """Check that none is missing; images of 16 bits are named in the log.

        Raises:
            DataError: One is missing.
        """
        if self._missing:
            raise DataError(
                f'{self.loader}: {len(self._missing)} of {self._samples} images are '
                f'not there: {some(self._missing)}; check data_root and data_prefix, '
                'or take them out of the annotations.'
            )
        if self._deep:
            print_log(
                f'{self.loader}: {self._deep[0]} has 16 bits, of which mmcv keeps the '
                'upper 8: convert such images to 8 bit where the others matter.',
                logger='current',
                level=30,
            )

    def _is_there(self, path):
        folder, name = os.path.split(path)
        if folder not in self._present:
            listed = os.listdir(folder or '.') if os.path.isdir(folder or '.') else ()
            self._present[folder] = set(listed)
        # Some file systems do not tell upper case from lower case.
        return name in self._present[folder] or os.path.exists(path)

    def _open(self, path, info):
        try:
            with Image.open(path) as file:
                size, mode, tiles = file.size, file.mode, str(file.tile)
                file.draft('RGB', (64, 64))  # a JPEG is not decoded in full for it
                file.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as why:
            # Other images OpenCV may read all the same.
            empty = not os.path.getsize(path)
            if empty or 'truncated' in str(why):
                what = 'is empty' if empty else f'ends early ({why})'
                raise DataError(f'{self.loader}: {path} {what}; {ADVICE}.') from why
            return
        annotated = info.get('width'), info.get('height')
        # Turned by its EXIF orientation, or not, is the reader's choice.
        known = all(annotated)  # VOC's 0 x 0 is none either
        if known and sorted(annotated) != sorted(size):
            raise DataError(
                f'{self.loader}: {path} has {size[0]} x {size[1]} pixels, but '
                f'{annotated[0]} x {annotated[1]} in the annotations, so its boxes lie '
                'elsewhere; use the images that were annotated, or scale boxes and '
                'sizes.'
            )
        if ';16' in mode + tiles:
            self._deep.append(path)


def reads_files(leaf: Dataset) -> bool:
    """Tell whether a data set's pipeline opens ``img_path`` as an image on this disk.

    And whether it needs it: where ``ignore_empty`` is set, another is taken.
    """
    for step in getattr(getattr(leaf, 'pipeline', None), 'transforms', ()):
        if type(step).__name__ in LOADERS:
            asked = (getattr(step, key, None) for key in BACKENDS)
            kinds = {dict(each or {}).get('backend', 'local') for each in asked}
            local = kinds <= {'local', 'disk'}
            return local and not getattr(step, 'ignore_empty', False)
    return False


def empty_image(dataset: Dataset) -> Optional[str]:
    """Return the first image file of a data set that is missing or empty, if one is.

    Asks for the size of each: for where reading failed.
    """
    for leaf in leaves_of(dataset):
        for info in infos_of(leaf):
            path = info.get('img_path')
            if isinstance(path, str) and '://' not in path:
                if not Path(path).is_file() or not Path(path).stat().st_size:
                    return path
    return None
