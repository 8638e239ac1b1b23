"""Many linear classifiers, trained together in one pass over the features."""

import math
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.errors import ConfigError, DataError

from .linear_classifier import LinearClassifier, moments

MOMENTUM = 0.9
#: Epochs by default: 20, and more of few samples, which take more to converge.
EPOCHS, STEPS = 20, 500


class Setting(NamedTuple):
    """One cell of the grid.

    Args:
        layer (str): Layer of the features.
        lr (float): Learning rate at the start; it falls to 0 along a cosine.
        weight_decay (float): On the weights, not the bias: the loss is the mean
            cross-entropy plus half of it times the weights' squared norm.
    """

    layer: str
    lr: float
    weight_decay: float


def train_grid(
    features: Dict[str, np.ndarray],
    labels: np.ndarray,
    rows: np.ndarray,
    settings: Sequence[Setting],
    *,
    epochs: Optional[int] = None,
    batch_size: int = 256,
    seed: int = 0,
    device: str = 'cpu',
) -> Dict[Setting, LinearClassifier]:
    """Train a linear classifier for each setting by SGD with momentum 0.9.

    All settings see the same batches in the same order. The classifiers of a layer lie
    side by side in one matrix, so that a step is two matrix products, as DINOv2's
    `linear evaluation <https://arxiv.org/abs/2304.07193>`_ trains its grid on one pass
    of the backbone. Weights start at zero: the problem is convex.

    Args:
        features (dict[str, np.ndarray]): By layer, ``(N, C)``, memory-mapped or not;
            on a GPU they are copied there.
        labels (np.ndarray): Int ``(N,)`` from 0; the highest gives K.
        rows (np.ndarray): Indices of the samples to train on.
        settings (Sequence[Setting]): The grid.
        epochs (int, optional): Passes over these samples. Defaults to 20, or as many
            as make 500 steps: with 100, accuracies were a point below those of
            converged classifiers.
        batch_size (int): Defaults to 256.
        seed (int): Of the order of the samples. Defaults to 0.
        device (str): Where to train. Defaults to ``'cpu'``.

    Returns:
        dict[Setting, LinearClassifier]: By setting; one that diverged is left out.

    Raises:
        ConfigError: ``epochs`` or ``batch_size`` is below 1.
        DataError: All of them diverged.
    """
    for name, value in dict(epochs=epochs, batch_size=batch_size).items():
        if value is not None and value < 1:
            raise ConfigError(f'{name}={value}, but it must be at least 1.')
    batches = math.ceil(len(rows) / batch_size)
    epochs = epochs or max(EPOCHS, math.ceil(STEPS / batches))
    number = int(labels.max()) + 1
    rows = np.sort(rows)
    layers = list(dict.fromkeys(setting.layer for setting in settings))
    side_by_side = {
        layer: _Side(
            features[layer],
            rows,
            [setting for setting in settings if setting.layer == layer],
            number,
            device,
        )
        for layer in layers
    }
    truth = torch.from_numpy(np.asarray(labels, np.int64))
    generator = torch.Generator().manual_seed(seed)
    order, step = torch.from_numpy(rows), 0
    for _ in range(epochs):
        mixed = order[torch.randperm(len(order), generator=generator)]
        for batch in mixed.split(batch_size):
            share = 0.5 * (1 + math.cos(math.pi * step / (epochs * batches)))
            wanted = F.one_hot(truth[batch], number).to(device, torch.float32)
            for side in side_by_side.values():
                side.step(batch, wanted, share)
            step += 1
    trained = {
        setting: classifier
        for side in side_by_side.values()
        for setting, classifier in side.classifiers()
    }
    if not trained:
        raise DataError(
            'every linear classifier of the grid diverged; give lower learning rates.'
        )
    return {setting: trained[setting] for setting in settings if setting in trained}


class _Side:
    """The classifiers of one layer, side by side; their gradient is written out."""

    def __init__(self, features, rows, settings, number, device):
        self.mean, self.scale = (t.to(device) for t in moments(features, rows))
        self.features = torch.as_tensor(features).to(device)
        self.settings = settings
        self.shape = len(settings), number
        self.weight = torch.zeros(len(self.mean), len(settings) * number, device=device)
        self.bias = torch.zeros(len(settings) * number, device=device)
        self.momenta = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
        rates = torch.tensor([[s.lr, s.weight_decay] for s in settings])
        rates = rates.repeat_interleave(number, 0).to(device)
        self.lr, self.weight_decay = rates.unbind(1)

    def step(self, batch: Tensor, wanted: Tensor, share: float) -> None:
        inputs = self.features[batch.to(self.features.device)]
        inputs = (inputs.float() - self.mean) * self.scale
        logits = torch.addmm(self.bias, inputs, self.weight)
        error = logits.view(-1, *self.shape).softmax(2).sub_(wanted[:, None])
        error = error.flatten(1).div_(len(batch))
        in_weight, in_bias = self.momenta
        in_weight.mul_(MOMENTUM).addmm_(inputs.T, error)
        in_weight.addcmul_(self.weight, self.weight_decay)
        in_bias.mul_(MOMENTUM).add_(error.sum(0))
        lr = self.lr * share
        self.weight.addcmul_(in_weight, lr, value=-1)
        self.bias.addcmul_(in_bias, lr, value=-1)

    def classifiers(self):
        groups = zip(
            self.settings,
            self.weight.split(self.shape[1], 1),
            self.bias.split(self.shape[1]),
        )
        for setting, weight, bias in groups:
            if weight.isfinite().all() and bias.isfinite().all():
                yield (
                    setting,
                    LinearClassifier(
                        self.mean, self.scale, weight.contiguous(), bias.clone()
                    ),
                )
