#!/usr/bin/env python
r"""How a student's correlations of logits differ from its teacher's, as a heat map.

Example:
    python tools/analysis/logit_gap.py configs/cifar100/kd_resnet56_resnet20.py \
        student.pth --dataset cifar100 --data-root data/cifar100
"""

from mmkd.analysis import logit_gap_artifact
from mmkd.analysis.load_pair import load_pair, pair_parser
from mmkd.analysis.presentation import show
from mmkd.engine.launch import run
from mmkd.visualization import claim


def main() -> None:
    args = pair_parser(__doc__).parse_args()
    pair = load_pair(args).shared()
    settings = claim(args, 'logit_gap')
    made = logit_gap_artifact(*pair.logits(), pair.classes, pair.where())
    show(*made, args.out, settings)


if __name__ == '__main__':
    run(main)
