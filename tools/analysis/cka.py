#!/usr/bin/env python
r"""Linear CKA between the layers of a student and of its teacher, as a heat map.

Example:
    python tools/analysis/cka.py configs/cifar100/kd_resnet56_resnet20.py \
        student.pth --dataset cifar100 --data-root data/cifar100
"""

from mmkd.analysis import cka_artifact
from mmkd.analysis.load_pair import load_pair, pair_parser
from mmkd.analysis.pair import default_layers
from mmkd.analysis.presentation import show
from mmkd.engine.launch import run
from mmkd.visualization import claim


def main() -> None:
    parser = pair_parser(__doc__)
    for who in ('student', 'teacher'):
        parser.add_argument(
            f'--{who}-layers',
            nargs='+',
            metavar='MODULE',
            help="modules, 'pooled' or 'logits'; by default stages and pooled",
        )
    parser.add_argument(
        '--debiased', action='store_true', help='for few images of wide layers'
    )
    args = parser.parse_args()
    pair = load_pair(args)
    settings = claim(args, 'cka')
    student, teacher = pair.features(
        args.student_layers or default_layers(pair.student),
        args.teacher_layers or default_layers(pair.teacher),
    )
    where = pair.where()
    artifact, figure = cka_artifact(student, teacher, where, debiased=args.debiased)
    show(artifact, figure, args.out, settings)


if __name__ == '__main__':
    run(main)
