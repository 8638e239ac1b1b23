"""Pixels of a sample of any data set."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmkd.errors import DataError


def read_image(info: dict) -> np.ndarray:
    """Return the image of a sample.

    Files are decoded by Pillow and turned as their EXIF orientation says; grey, CMYK
    and palette images become RGB, and transparency is dropped. A file that ends early
    is an error here, where OpenCV 4 gives out half a JPEG, and so is a grey image of
    more than 8 bits, which Pillow would clip.

    Args:
        info (dict): A data info with ``img``, an array, or ``img_path``.

    Returns:
        np.ndarray: RGB, uint8 ``(H, W, 3)``.

    Raises:
        DataError: The file is missing, empty, cut short, no image, or grey of
            more than 8 bits; or ``img`` has another type or shape.
    """
    if 'img' in info:
        image = info['img']
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(
                f'an image in memory is {image.dtype} {image.shape}, but must be '
                'uint8 (H, W, 3) in RGB; use another data set, or convert it.'
            )
        return image
    path = info['img_path']
    advice = 'fetch or unpack it again, or take it out of the data set'
    try:
        with Image.open(path) as file:
            if file.mode[0] not in 'IF':
                return np.array(ImageOps.exif_transpose(file).convert('RGB'))
            reason = f'it has more than 8 bits (mode {file.mode} to Pillow)'
            advice = 'convert it to 8 bit'
    except UnidentifiedImageError:
        reason = 'it is empty, no image, or cut short in its header'
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error)
    raise DataError(f'{path} cannot be read as an image: {reason}; {advice}.')
