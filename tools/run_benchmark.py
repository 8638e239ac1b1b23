#!/usr/bin/env python
r"""Train configs with several seeds and put the results in one table.

Run again, the same command goes on where it stopped. The metric is what the config's
evaluator gives, top-1 or AP. A row is named by its file, METHOD_TEACHER_STUDENT.py, or
else by the file and its folder. The gain is over the same student alone: the config of
the same pair named none_TEACHER_STUDENT.py, or the one whose model is the student
without a teacher. A config may say otherwise with
benchmark=dict(method=..., pair=..., metric=...).

Example:
    python tools/run_benchmark.py configs/cifar100/*_resnet56_resnet20.py \
        --seeds 0 1 2 --jobs 2 --out work_dirs/benchmark
    python tools/run_benchmark.py configs/quickstart/student.py \
        configs/quickstart/luminet.py --seeds 0 1
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.locks import locked

TRAIN = Path(__file__).resolve().with_name('train.py')
STOPPED = 'stopped; the same command goes on from here'


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    add, whole = parser.add_argument, arguments.whole
    add('configs', nargs='*', metavar='CONFIG', help='to train')
    add(
        '--seeds',
        type=arguments.seed,
        nargs='+',
        default=[0, 1, 2],
        help='one training each',
    )
    add(
        '--out',
        type=Path,
        default=Path('work_dirs/benchmark'),
        help='folder of results',
    )
    add('--jobs', type=whole(), default=1, help='trainings at once')
    add(
        '--gpus',
        type=whole(0),
        nargs='+',
        default=[],
        help='spread the trainings over them',
    )
    add('--epochs', type=whole(), help='shorten: every time in epochs in proportion')
    add('--classes', type=whole(2), help='shrink the data: keep the first classes')
    add(
        '--fraction',
        type=arguments.number(above=0, most=1),
        default=1.0,
        help="part of each class's train images",
    )
    add(
        '--hold-out',
        type=arguments.number(0),
        default=0.0,
        metavar='FRACTION',
        help='validate on the last part of the train images, to choose settings by',
    )
    arguments.add_options(parser, 'of every config')
    add(
        '--report-only',
        action='store_true',
        help='train nothing, write the report of what is in --out',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmkd.benchmark import Pool, plan, write_report

    if args.report_only:
        return print(write_report(args.out))
    if not args.configs:
        raise ConfigError('give at least one CONFIG.')
    with locked(args.out) as lock:
        cells = plan(
            args.configs,
            args.seeds,
            args.out,
            args.cfg_options,
            epochs=args.epochs,
            classes=args.classes,
            fraction=args.fraction,
            hold_out=args.hold_out,
        )
        say = partial(print, flush=True)
        pool = Pool(TRAIN, lock, args.jobs, args.gpus, say)
        stopped = pool.run(cells)
        if stopped:
            print(STOPPED, file=sys.stderr)
            sys.exit(128 + stopped)
        say(f'\n{write_report(args.out)}\nWritten to {args.out}.')
    for name, why in pool.failures.items():
        print(f'{name} failed: {why}', file=sys.stderr)
    if pool.failures:
        sys.exit(1)


if __name__ == '__main__':
    run(main, STOPPED)
