#!/usr/bin/env python
"""Convert a public CIFAR teacher to a checkpoint that mmkd and mmpretrain load.

The files of RepDistiller (https://github.com/HobbitLong/RepDistiller) and mdistiller
(https://github.com/megvii-research/mdistiller), such as
cifar_teachers/resnet32x4_vanilla/ckpt_epoch_240.pth, and plain state dicts of ResNets,
such as those of https://github.com/chenyaofo/pytorch-cifar-models.
"""

import argparse
from pathlib import Path

from mmkd.checkpoints import PLACES, read_checkpoint, write_checkpoint
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.files import check_writable
from mmkd.models.backbones.convert import ARCHS, convert_state_dict

#: Where the weights are, by --layout.
LAYOUTS = dict(auto=PLACES, mdistiller=('model',), plain=('state_dict', ''))


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument('src', help='the checkpoint to convert')
    parser.add_argument('dst', help='the file to write')
    parser.add_argument(
        '--arch', required=True, choices=ARCHS, help="mdistiller's name of the network"
    )
    parser.add_argument(
        '--layout',
        choices=LAYOUTS,
        default='auto',
        help="where in the file the weights are: under 'model' (mdistiller, "
        "RepDistiller), or at the top or under 'state_dict' (plain)",
    )
    parser.add_argument(
        '--num-classes',
        type=arguments.whole(),
        default=100,
        help="with 100 and 10 the classes' names are those of CIFAR",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_writable(args.dst)
    weights = read_checkpoint(args.src, LAYOUTS[args.layout]).fitting().weights
    weights = convert_state_dict(weights, args.arch, args.num_classes)
    write_checkpoint(Path(args.dst), weights, dataset_meta(args.num_classes))
    print(f'{args.dst}: {len(weights)} tensors of {args.arch}')


def dataset_meta(num_classes: int) -> dict:
    """Return the ``meta`` of a checkpoint, with CIFAR's class names if it has them."""
    from mmpretrain.datasets.categories import CIFAR10_CATEGORIES, CIFAR100_CATEGORIES

    names = {10: CIFAR10_CATEGORIES, 100: CIFAR100_CATEGORIES}.get(num_classes)
    return dict(dataset_meta=dict(classes=names)) if names else {}


if __name__ == '__main__':
    run(main)
