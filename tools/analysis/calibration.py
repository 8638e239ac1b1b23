#!/usr/bin/env python
r"""Calibration of a student and its teacher, and how often they agree.

Example:
    python tools/analysis/calibration.py configs/cifar100/kd_resnet56_resnet20.py \
        student.pth --dataset cifar100 --data-root data/cifar100
"""

from mmkd.analysis import agreement_artifact, calibration_artifact
from mmkd.analysis.load_pair import load_pair, pair_parser
from mmkd.analysis.presentation import show
from mmkd.engine.launch import run
from mmkd.visualization import claim


def main() -> None:
    args = pair_parser(__doc__).parse_args()
    pair = load_pair(args).shared()
    settings = claim(args, 'calibration', 'agreement')
    student, teacher = pair.logits()
    labels, where = pair.labels(), pair.where()
    both = dict(student=student, teacher=teacher)
    show(*calibration_artifact(both, labels, where), args.out, settings)
    print()
    agreed = agreement_artifact(student, teacher, labels, pair.classes, where)
    show(*agreed, args.out, settings)


if __name__ == '__main__':
    run(main)
