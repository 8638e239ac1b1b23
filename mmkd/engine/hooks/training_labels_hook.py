"""The labels of the training set, for losses that draw samples by class."""

import torch
from mmengine.hooks import Hook
from torch import Tensor
from torch.utils.data import Dataset

from mmkd.engine.bare_model import bare_model
from mmkd.errors import ConfigError
from mmkd.registry import HOOKS


@HOOKS.register_module()
class TrainingLabelsHook(Hook):
    """Gives a Distiller's losses the labels of the training set, before training.

    Losses such as :class:`~mmkd.models.losses.CRDLoss` take them::

        custom_hooks = [dict(type='mmkd.TrainingLabelsHook')]

    Raises:
        ConfigError: See :func:`training_labels`.
    """

    def before_train(self, runner) -> None:
        """Hand out the labels."""
        labels = training_labels(runner.train_dataloader.dataset)
        for term in getattr(bare_model(runner), 'terms', ()):
            term.loss.see_training_set(labels)


def training_labels(dataset: Dataset) -> Tensor:
    """Return labels ``(n,)`` at the places that samples name as ``sample_idx``.

    A wrapper that repeats samples leaves them the numbers of the data set inside.

    Args:
        dataset (Dataset): One with ``get_gt_labels()``, such as mmpretrain's and
            :class:`~mmkd.datasets.ImageTensors`, or a wrapper around one.

    Raises:
        ConfigError: It is a concatenation, or has not one label a sample.
    """
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    name = type(dataset).__name__
    if hasattr(dataset, 'datasets'):
        raise ConfigError(
            f'TrainingLabelsHook: {name} joins data sets that each number their '
            'samples from 0, so sample_idx does not say which sample it is; train on '
            'one data set.'
        )
    try:
        return torch.as_tensor(dataset.get_gt_labels())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f'TrainingLabelsHook: the training set, {name}, does not give one label a '
            f'sample ({type(error).__name__}: {error}); use a classification data set '
            'with get_gt_labels(), or take out the hook and the loss that needs it.'
        ) from error
