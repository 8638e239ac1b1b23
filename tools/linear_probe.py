#!/usr/bin/env python
r"""Probe frozen networks on another data set: is what they learned worth carrying?

    python tools/linear_probe.py CONFIG CHECKPOINT --dataset digits
    python tools/linear_probe.py CONFIG --compare none=a.pth kd=b.pth random pixels \
        --dataset tiny_imagenet --data-root data/tiny-imagenet-200

Features are computed once and kept; the second call is quick.
"""

import argparse
import io
from pathlib import Path

import numpy as np

from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.files import write_bytes
from mmkd.transfer import (
    TARGETS,
    Protocol,
    comparison,
    evaluate,
    load_target,
    parse_entries,
    subset,
)
from mmkd.transfer.features.cache import CACHE
from mmkd.transfer.protocol import REFERENCES
from mmkd.visualization import claim, markdown_table


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    add, whole, defaults = parser.add_argument, arguments.whole, Protocol()
    add(
        'config',
        help="a classifier's, a Distiller's or a backbone's: path, or package::path",
    )
    add('checkpoint', nargs='?', help='path or URL; or random, or pixels, as a floor')
    add('--prefix', help="what a network's names begin with in files of several")
    add(
        '--compare',
        nargs='+',
        default=[],
        metavar='[NAME=]CHECKPOINT[@CONFIG]',
        help='several, on the same split; those of one name are runs of one method, '
        'and differences are to the first',
    )
    add('--dataset', required=True, metavar='NAME', help=', '.join(TARGETS))
    add('--data-root', help='its folder')
    add('--no-check-md5', action='store_true', help='take other files of CIFAR, too')
    add(
        '--limit',
        type=whole(),
        help='train on so many images only, drawn class by class',
    )
    add('--input-size', type=whole(), help="pixels; by default the network's own")
    add('--layers', nargs='+', default=['pooled'], help='pooled, or names of modules')
    for name, help in (('learning_rates', 'steps'), ('weight_decays', 'L2 penalties')):
        add(
            f'--{name.replace("_", "-")}',
            nargs='+',
            type=arguments.number(0),
            default=getattr(defaults, name),
            help=f'{help} of the probe to choose from',
        )
    add(
        '--held-out',
        type=arguments.number(above=0),
        default=defaults.held_out,
        metavar='FRACTION',
        help='of the training images, to choose the setting by',
    )
    add('--epochs', type=whole(), help='by default 20, or as many as make 500 steps')
    add('--seeds', type=arguments.seed, nargs='+', default=[0], help='of the probe')
    add(
        '--references',
        nargs='+',
        default=[],
        metavar='NAME',
        help=f'{", ".join(REFERENCES)}: other classifiers on the same features',
    )
    add('--cache', default=CACHE, help='folder of the features')
    add('--out', default='work_dirs/linear_probe', help='folder of the results')
    add('--batch-size', type=whole(), default=250, help='images at once')
    add('--workers', type=whole(0), default=2, help='threads that read images')
    add('--device', help='cpu, cuda:1, ...')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    texts = [args.checkpoint] * bool(args.checkpoint) + args.compare
    if not texts:
        raise ConfigError('give a CHECKPOINT, or several with --compare.')
    entries = parse_entries(texts, args.config, args.prefix)
    settings = claim(args, 'linear_probe')
    protocol = Protocol(
        layers=args.layers,
        input_size=args.input_size,
        learning_rates=args.learning_rates,
        weight_decays=args.weight_decays,
        held_out=args.held_out,
        epochs=args.epochs,
        seeds=args.seeds,
        references=args.references,
    )
    target = load_target(args.dataset, args.data_root, check_md5=not args.no_check_md5)
    if args.limit is not None:
        target = target._replace(train=subset(target.train, args.limit))
    results = evaluate(
        entries,
        target,
        protocol,
        cache=args.cache,
        batch_size=args.batch_size,
        workers=args.workers,
        device=args.device,
    )
    artifact, figure = comparison(results, target, protocol)
    artifact.settings = settings
    predictions = Path(args.out) / 'predictions.npz'
    named = [(name, each) for name, runs in results.items() for each in runs]
    np.savez_compressed(
        file := io.BytesIO(),
        format='mmkd.predictions/1',
        labels=target.val.get_gt_labels(),
        names=[name for name, _ in named],
        top1=np.stack([each.top1 for _, each in named]),
    )
    write_bytes(predictions, file.getvalue())
    path = artifact.write(args.out, figure)
    print(f'\n{artifact.title}\n\n{markdown_table(artifact.rows, artifact.corner)}')
    print(
        f'\n{artifact.about}\n\nWritten: {path}, {path.with_suffix(".png")} and '
        f'{predictions}.'
    )


if __name__ == '__main__':
    run(main)
