"""Loading an image in a pipeline, so that a damaged file is an error."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmkd.datasets.read_image import read_image
from mmkd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Loads what :func:`~mmkd.datasets.read_image.read_image` reads, as BGR.

    It goes in the place of ``LoadImageFromFile``, which gives out the part that it has
    of a JPEG that ends early.
    """

    def transform(self, results: dict) -> dict:
        """Set ``img``, uint8 ``(H, W, 3)``, ``img_shape`` and ``ori_shape``.

        Args:
            results (dict): A data info with ``img_path``.

        Raises:
            DataError: The file cannot be read as an image.
        """
        image = np.ascontiguousarray(read_image(results)[..., ::-1])
        shape = image.shape[:2]
        results.update(img=image, img_shape=shape, ori_shape=shape)
        return results
