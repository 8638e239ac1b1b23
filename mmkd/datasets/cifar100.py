"""CIFAR-100 as it lies on the disk."""

from mmpretrain.datasets import CIFAR100 as StockCIFAR100

from mmkd.datasets.cifar_files import CifarFiles
from mmkd.registry import DATASETS


@DATASETS.register_module()
class CIFAR100(CifarFiles, StockCIFAR100):
    """`CIFAR-100 <https://www.cs.toronto.edu/~kriz/cifar.html>`_: mmpretrain's data
    set, for files with other md5s and for parts of the data too.

    The files lie in ``data_root/cifar-100-python``. Arguments and errors are
    those of :class:`~mmkd.datasets.cifar_files.CifarFiles`.
    """

    title = 'CIFAR-100'
    labels_key = 'fine_labels'
