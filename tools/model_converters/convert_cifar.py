#!/usr/bin/env python
"""Convert a public CIFAR teacher to a checkpoint that mmkd and mmpretrain load.

The files of RepDistiller (https://github.com/HobbitLong/RepDistiller) and mdistiller
(https://github.com/megvii-research/mdistiller), such as
cifar_teachers/resnet32x4_vanilla/ckpt_epoch_240.pth, and plain state dicts of ResNets,
such as those of https://github.com/chenyaofo/pytorch-cifar-models.
"""

import argparse
from pathlib import Path

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmkd.engine.launch import run
from mmkd.errors import CheckpointError
from mmkd.models.backbones.convert import ARCHS, convert_state_dict


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='the checkpoint to convert')
    parser.add_argument('dst', help='the file to write')
    parser.add_argument(
        '--arch', required=True, choices=ARCHS, help="mdistiller's name of the network"
    )
    parser.add_argument(
        '--layout',
        choices=('auto', 'mdistiller', 'plain'),
        default='auto',
        help="where in the file the weights are: under 'model' (mdistiller, "
        "RepDistiller), or at the top or under 'state_dict' (plain)",
    )
    parser.add_argument(
        '--num-classes',
        type=int,
        default=100,
        help="with 100 and 10 the classes' names are those of CIFAR",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    checkpoint = CheckpointLoader.load_checkpoint(args.src, map_location='cpu')
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{args.src} holds a {type(checkpoint).__name__}, no dict of weights; give '
            'a state dict, not a whole model.'
        )
    weights = find_weights(checkpoint, args.layout, args.src)
    weights = convert_state_dict(weights, args.arch, args.num_classes)
    Path(args.dst).parent.mkdir(parents=True, exist_ok=True)
    meta = dataset_meta(args.num_classes)
    torch.save(dict(state_dict=weights, meta=meta), args.dst)
    print(f'{args.dst}: {len(weights)} tensors of {args.arch}')


def find_weights(checkpoint: dict, layout: str, path: str) -> dict:
    """Return the state dict in a file's content.

    Raises:
        CheckpointError: There is none where ``layout`` says.
    """
    if layout == 'auto':
        layout = 'mdistiller' if 'model' in checkpoint else 'plain'
    if layout == 'mdistiller':
        place, state = "under 'model'", checkpoint.get('model')
    else:
        place = "under 'state_dict' or at the top"
        state = checkpoint.get('state_dict', checkpoint)
    is_state = isinstance(state, dict) and state
    if not is_state or not all(isinstance(value, Tensor) for value in state.values()):
        keys = ', '.join(map(repr, list(checkpoint)[:5])) or 'nothing'
        raise CheckpointError(
            f'{path} has no state dict {place}; it begins with {keys}; choose another '
            '--layout or file.'
        )
    return state


def dataset_meta(num_classes: int) -> dict:
    """Return the ``meta`` of a checkpoint, with CIFAR's class names if it has them."""
    from mmpretrain.datasets.categories import CIFAR10_CATEGORIES, CIFAR100_CATEGORIES

    names = {10: CIFAR10_CATEGORIES, 100: CIFAR100_CATEGORIES}.get(num_classes)
    return dict(dataset_meta=dict(classes=names)) if names else {}


if __name__ == '__main__':
    run(main)
