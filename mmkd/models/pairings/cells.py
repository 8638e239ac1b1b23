"""Classifiers: the logits of cells of the same images."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from ..available import UnsuitedError
from ..losses.checks import one_of
from ..losses.numerics import promoted
from ..taps import Taps
from .classification import ClassificationPairing

POOLING = ('direct', 'nested')


@PAIRINGS.register_module(name='cells.logits')
class CellsPairing(ClassificationPairing):
    """Logits of the cells of grids over the last map, with the images' labels.

    Each network's own linear classifier is put to the mean of each cell, as it is to
    the mean of the whole map. Nothing is learned in addition. Logits are ``(N, K, M)``:
    first the whole image, what the head itself says, then the cells of the next grid
    row by row, and so on; the target is the image's label.

    Args:
        name (str): ``'cells.logits'``.
        student (nn.Module): An mmpretrain classifier with a linear head on the mean of
            the last map, of any backbone: CNNs, Swin.
        teacher (nn.Module): Another.
        scales (Sequence[int]): Cells along a side of each grid, ascending from 1.
            Defaults to (1, 2, 4). A map smaller than a grid repeats pixels.
        pooling (str): ``'direct'`` averages the pixels of each cell; ``'nested'``
            averages the cells of the finest grid, as the authors of SDD do, which
            differs where a map cannot be cut evenly. Defaults to ``'direct'``.

    Raises:
        ConfigError: A network is not of this kind, or the grids are not.
    """

    rank = 3

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        scales: Sequence[int] = (1, 2, 4),
        pooling: str = 'direct',
    ) -> None:
        super().__init__(name, student, teacher)
        self.scales = check_scales(name, scales)
        self.pooling = one_of(f'on={name!r}', 'pooling', pooling, POOLING)
        if pooling == 'nested' and any(
            self.scales[-1] % scale for scale in self.scales
        ):
            raise ConfigError(
                f"on={name!r}: pooling='nested' needs scales that divide the last, got "
                f'{list(scales)}.'
            )
        self.student_outputs = ['backbone', _classifier(student, 'student')]
        self.teacher_outputs = ['backbone', _classifier(teacher, 'teacher')]

    def check(self, student: Taps, teacher: Taps) -> None:
        """See that each classifier is put to the mean of the last map.

        Raises:
            ConfigError: It is not.
        """
        for taps, paths, role in (
            (student, self.student_outputs, 'student'),
            (teacher, self.teacher_outputs, 'teacher'),
        ):
            maps, logits, classifier = _recorded(taps, paths)
            same = maps.dim() == 4 and maps.size(1) == classifier.in_features
            if same:
                pooled = classifier(promoted(maps).mean(dim=(2, 3)))
                # A teacher may answer in half precision, which is off by a percent.
                apart = 1e-3 if logits.dtype == pooled.dtype else 5e-2
                gap = (pooled - logits).abs().max()
                same = gap <= apart * logits.abs().max() + 1e-6
            if not same:
                raise ConfigError(
                    f'on={self.name!r}: the head of the {role} does not classify the '
                    f"mean of the backbone's last map (shape {tuple(maps.shape)}), so "
                    'cells of it have no logits; choose a network that averages a map '
                    "in front of a linear head, or on='logits'."
                )

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return the logits ``(N, K, M)`` of all cells."""
        paths = self.student_outputs if role == 'student' else self.teacher_outputs
        maps, logits, classifier = _recorded(taps, paths)
        grids = self._grids(promoted(maps))
        if not grids:
            return [logits[:, :, None]]
        cells = torch.cat(grids, dim=2)
        rows = classifier(cells.transpose(1, 2).flatten(0, 1))
        of_cells = rows.unflatten(0, (len(maps), -1)).transpose(1, 2)
        if self.pooling == 'direct':
            # The first cell is the whole image, about which the head has spoken.
            of_cells = torch.cat([logits[:, :, None], of_cells], dim=2)
        return [of_cells]

    def _grids(self, maps):
        """Cells ``(N, C, m * m)`` of each grid; direct ones without the first."""
        if self.pooling == 'direct':
            grids = [F.adaptive_avg_pool2d(maps, scale) for scale in self.scales[1:]]
        else:
            finest = F.adaptive_avg_pool2d(maps, self.scales[-1])
            steps = [self.scales[-1] // scale for scale in self.scales]
            grids = [F.avg_pool2d(finest, step) for step in steps]
        return [grid.flatten(2) for grid in grids]


def check_scales(name: str, scales: Sequence[int]) -> List[int]:
    """Return the cells along a side of each grid.

    Raises:
        ConfigError: They do not ascend from 1.
    """
    listed = list(scales) if isinstance(scales, (list, tuple)) else [scales]
    whole = all(type(scale) is int for scale in listed)
    if not whole or listed[:1] != [1] or sorted(set(listed)) != listed:
        raise ConfigError(
            f'on={name!r}: scales must be whole numbers that ascend from 1, such as '
            f'[1, 2, 4], got {scales!r}.'
        )
    return listed


def _classifier(model, role):
    """Name the one linear layer of a head."""
    if not hasattr(model, 'head') or not hasattr(model, 'backbone'):
        raise UnsuitedError(
            "on='cells.logits' needs a backbone and a head, which the "
            f'{role} ({type(model).__name__}) has not'
        )
    layers = {
        f'head.{path}': layer
        for path, layer in model.head.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    }
    if len(layers) != 1 or not isinstance(next(iter(layers.values())), nn.Linear):
        listed = ', '.join(
            f'{path} ({type(layer).__name__})' for path, layer in layers.items()
        )
        raise ConfigError(
            "on='cells.logits' needs a head of one linear layer, but the "
            f'{type(model.head).__name__} of the {role} has '
            f"{listed or 'none'}; choose on='logits'."
        )
    return next(iter(layers))


def _recorded(taps, paths):
    """A network's last map, its logits, and the layer that made them."""
    backbone, classifier = (taps[path] for path in paths)
    return backbone.outputs()[-1], classifier.outputs()[0], classifier.module
