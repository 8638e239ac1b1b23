"""Data sets."""

from mmkd.datasets.cifar100 import CIFAR100
from mmkd.datasets.digits import DigitsDataset, make_digits
from mmkd.datasets.image_tensors import ImageTensors

__all__ = ['CIFAR100', 'DigitsDataset', 'ImageTensors', 'make_digits']
