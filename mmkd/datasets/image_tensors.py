"""A whole data set of small images in one tensor."""

from typing import Dict, List, Sequence

import numpy as np
import torch
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import Dataset

from mmkd.construct import build_from
from mmkd.errors import DataError
from mmkd.registry import DATASETS, FUNCTIONS


@DATASETS.register_module()
class ImageTensors(Dataset):
    """Holds the images of another data set as one uint8 tensor and gives out batches.

    A batch is one indexing operation in place of a pipeline for every image. It
    takes ``collate_fn=dict(type='mmkd.keep_batch')`` in the dataloader and, for
    augmentation, :class:`~mmkd.models.CropFlipPreprocessor`. Workers bring nothing:
    leave ``num_workers`` at 0.

    Args:
        dataset (dict): A classification data set that loads without a pipeline, with
            ``img``, uint8 ``(H, W, C)``, and ``gt_label`` in its data infos, such as
            ``dict(type='mmkd.CIFAR100', data_root=...)``. Images are as there: RGB
            for CIFAR.

    Raises:
        DataError: The images differ in size, or are not in memory.
    """

    def __init__(self, dataset: dict) -> None:
        source = build_from(ROOT_DATASETS, dict(dataset, pipeline=[]))
        self.metainfo = source.metainfo
        infos = [source.get_data_info(index) for index in range(len(source))]
        if not infos or 'img' not in infos[0]:
            raise DataError(
                f'ImageTensors: {dataset["type"]} has no images in memory '
                f'({len(infos)} samples); use a data set such as CIFAR, or a '
                'dataloader with a pipeline.'
            )
        shapes = {info['img'].shape for info in infos}
        if len(shapes) > 1:
            raise DataError(
                f'ImageTensors: the images of {dataset["type"]} differ in size '
                f'({", ".join(map(str, sorted(shapes)[:3]))}, ...), but they have to '
                'fit in one tensor; use a dataloader with a pipeline.'
            )
        images = np.stack([info['img'] for info in infos]).transpose(0, 3, 1, 2)
        self.images = torch.from_numpy(np.ascontiguousarray(images))
        self.labels = torch.tensor([info['gt_label'] for info in infos])

    def __len__(self) -> int:
        return len(self.images)

    def get_gt_labels(self) -> Tensor:
        """Return the label ``(len(self),)`` of every image, as mmpretrain names it."""
        return self.labels

    def __getitems__(self, indices: Sequence[int]) -> Dict[str, object]:
        """Return a batch: ``inputs``, uint8 ``(N, C, H, W)``, and ``data_samples``."""
        indices = torch.as_tensor(indices)
        samples = samples_of(self.labels[indices], indices.tolist())
        return dict(inputs=self.images[indices], data_samples=samples)

    def __getitem__(self, index: int) -> Dict[str, object]:
        """Return one image ``(C, H, W)`` and its sample."""
        batch = self.__getitems__([index])
        return dict(inputs=batch['inputs'][0], data_samples=batch['data_samples'][0])


def samples_of(labels: Tensor, indices: Sequence[int]) -> List[DataSample]:
    """Return a data sample for each of ``labels`` ``(N,)``, numbered ``indices``."""
    return [
        DataSample(metainfo=dict(sample_idx=index)).set_gt_label(label)
        for label, index in zip(labels.split(1), indices)
    ]


@FUNCTIONS.register_module()
def keep_batch(batch: dict) -> dict:
    """Return what is a batch already; the ``collate_fn`` of :class:`ImageTensors`."""
    return batch
