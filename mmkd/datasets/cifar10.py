"""CIFAR-10 as it lies on the disk."""

from mmpretrain.datasets import CIFAR10 as StockCIFAR10

from mmkd.datasets.cifar_files import CifarFiles
from mmkd.registry import DATASETS


@DATASETS.register_module()
class CIFAR10(CifarFiles, StockCIFAR10):
    """`CIFAR-10 <https://www.cs.toronto.edu/~kriz/cifar.html>`_: mmpretrain's data
    set, for files with other md5s and for parts of the data too.

    The files lie in ``data_root/cifar-10-batches-py``. Arguments and errors are
    those of :class:`~mmkd.datasets.cifar_files.CifarFiles`.
    """

    title = 'CIFAR-10'
    labels_key = 'labels'
