#!/usr/bin/env python
"""Draw the training curves of several runs in one picture.

Example:
    python tools/analysis/curves.py none=work_dirs/none KD=work_dirs/kd
"""

import argparse
from pathlib import Path

from mmkd.engine import arguments
from mmkd.engine.launch import run


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    add = parser.add_argument
    add(
        'runs',
        nargs='+',
        metavar='RUN',
        help="a Runner's work dir, or NAME=DIR; runs of one name share a colour",
    )
    add(
        '--keys',
        nargs='+',
        help='what to draw, as named in the logs; by default the losses, accuracy/top1 '
        'and AP, where logged',
    )
    add('--out', type=Path, default=Path('work_dirs/analysis'), help='folder to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmkd.analysis import curves_artifact, read_runs
    from mmkd.analysis.presentation import show
    from mmkd.visualization import claim

    settings = claim(args, 'curves')
    show(*curves_artifact(read_runs(args.runs), args.keys), args.out, settings)


if __name__ == '__main__':
    run(main)
