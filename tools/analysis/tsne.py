#!/usr/bin/env python
r"""t-SNE of a student's and its teacher's penultimate features, side by side.

Example:
    python tools/analysis/tsne.py configs/cifar100/kd_resnet56_resnet20.py \
        student.pth --dataset cifar100 --data-root data/cifar100 --classes apple bear
"""

from mmkd.analysis import tsne_artifact
from mmkd.analysis.load_pair import load_pair, pair_parser
from mmkd.analysis.presentation import show
from mmkd.engine.arguments import number, seed, whole
from mmkd.engine.launch import run
from mmkd.errors import DataError
from mmkd.transfer.features.layers import POOLED
from mmkd.visualization import claim


def main() -> None:
    parser = pair_parser(__doc__)
    add = parser.add_argument
    add('--classes', nargs='+', metavar='NAME', help='default the first 10')
    add('--per-class', type=whole(), default=100, help='most images of each')
    add('--perplexity', type=number(above=0), default=30.0, help='of t-SNE')
    add('--seed', type=seed, default=0, help='of images and t-SNE')
    args = parser.parse_args()
    pair = load_pair(args)
    settings = claim(args, 'tsne')
    wanted = args.classes and [_index(name, pair.classes) for name in args.classes]
    student, teacher = pair.features([POOLED], [POOLED])
    artifact, figure = tsne_artifact(
        student[POOLED],
        teacher[POOLED],
        pair.labels(),
        pair.classes,
        pair.where(),
        classes=wanted,
        per_class=args.per_class,
        perplexity=args.perplexity,
        seed=args.seed,
    )
    show(artifact, figure, args.out, settings)


def _index(name, classes):
    if name not in classes:
        raise DataError(
            f'--classes: the data set has no class {name!r}, but {len(classes)} such '
            f'as {", ".join(classes[:5])}.'
        )
    return classes.index(name)


if __name__ == '__main__':
    run(main)
