#!/usr/bin/env python
"""Join results into one page of HTML that needs no other file, to show or to send.

It takes what lies in and below the folders: benchmarks of tools/run_benchmark.py,
results of tools/linear_probe.py and tools/analysis, and logs of trainings.

Example:
    python tools/report.py work_dirs/benchmark work_dirs/probe --out report.html
"""

import argparse
import sys
from pathlib import Path

from mmkd.engine import arguments
from mmkd.engine.launch import run


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    add = parser.add_argument
    add('work_dirs', nargs='+', metavar='WORK_DIR', help='folder of results')
    add('--out', type=Path, default=Path('report.html'), help='file to write')
    add('--title', default='', help="of the page; by default the folders' names")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmkd.report import write_html_report

    for sentence in write_html_report(args.work_dirs, args.out, args.title):
        print(f'warning: {sentence}', file=sys.stderr)
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    run(main)
