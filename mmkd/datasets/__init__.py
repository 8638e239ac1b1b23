"""Data sets."""

from mmkd.datasets.cifar10 import CIFAR10
from mmkd.datasets.cifar100 import CIFAR100
from mmkd.datasets.digit_images import DigitImages
from mmkd.datasets.digits import DigitsDataset, make_digits
from mmkd.datasets.image_folders import ImageFolders
from mmkd.datasets.image_tensors import ImageTensors
from mmkd.datasets.load_image import LoadImage
from mmkd.datasets.read_image import read_image
from mmkd.datasets.stl10 import STL10
from mmkd.datasets.tiny_imagenet import TinyImageNet

__all__ = [
    'CIFAR10',
    'CIFAR100',
    'DigitImages',
    'DigitsDataset',
    'ImageFolders',
    'ImageTensors',
    'LoadImage',
    'STL10',
    'TinyImageNet',
    'make_digits',
    'read_image',
]
