#!/usr/bin/env python
"""Calibration of a student and its teacher, and how often they agree.

Example:
    python tools/analysis/calibration.py configs/cifar100/kd_resnet56_resnet20.py \
        student.pth --dataset cifar100 --data-root data/cifar100
"""

from mmkd.analysis import agreement_artifact, calibration_artifact
from mmkd.analysis.load_pair import load_pair, pair_parser
from mmkd.analysis.presentation import show
from mmkd.engine.launch import run


def main() -> None:
    args = pair_parser(__doc__).parse_args()
    pair = load_pair(args).shared()
    student, teacher = pair.logits()
    labels, where = pair.labels(), pair.where()
    both = dict(student=student, teacher=teacher)
    show(*calibration_artifact(both, labels, where), args.out)
    print()
    show(*agreement_artifact(student, teacher, labels, pair.classes, where), args.out)


if __name__ == '__main__':
    run(main)
