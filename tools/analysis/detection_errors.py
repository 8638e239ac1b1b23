#!/usr/bin/env python
r"""Show where a student detector loses against its teacher, on COCO's format.

AP by class and by size, kinds of errors (wrong class, poorly localised, duplicate,
background, missed) and confusions, each as a picture and JSON. Write the predictions,
a PREFIX.bbox.json of each model, with

    python tools/test.py CONFIG CHECKPOINT \
        --cfg-options test_evaluator.outfile_prefix=PREFIX

The pickles of its --out are not read: they have no category ids and may run code.

Example:
    python tools/analysis/detection_errors.py instances_val.json \
        teacher=teacher.bbox.json student=student.bbox.json
"""

import argparse
from pathlib import Path

from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    add = parser.add_argument
    add('annotations', type=Path, help='COCO annotation file of the images tested')
    add(
        'predictions',
        nargs='+',
        metavar='NAME=PREDICTIONS',
        help='COCO result files; the first is the teacher',
    )
    add('--out', type=Path, default=Path('work_dirs/analysis'), help='folder to write')
    add(
        '--score',
        type=arguments.number(0, 1),
        default=0.3,
        help='count errors from it on',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmkd.analysis.detection.boxes import read_predictions, read_truth
    from mmkd.analysis.detection.report import write_detection_report
    from mmkd.visualization import claim, markdown_table

    paths = named(args.predictions)
    settings = claim(args, 'detection_ap')
    truth = read_truth(args.annotations)
    models = {name: read_predictions(path, truth) for name, path in paths.items()}
    for name, predictions in models.items():
        if not predictions.anns:
            print(f'{name} has no predictions: its AP is 0, all objects are missed.')
    data = args.annotations.name
    overall, classes, errors, *_ = write_detection_report(
        truth, models, args.out, data, args.score, settings
    )
    for artifact in (overall, errors):
        print(f'{artifact.title}\n\n{markdown_table(artifact.rows, artifact.corner)}\n')
    print(f'{len(classes.rows)} classes and the confusions: see {args.out}')


def named(entries) -> dict:
    paths = {}
    for entry in entries:
        name, equals, path = entry.partition('=')
        if not (name and equals and path):
            raise ConfigError(f'give predictions as NAME=PATH, got {entry!r}.')
        if name in paths:
            raise ConfigError(f'the name {name!r} is given twice; choose two.')
        paths[name] = path
    return paths


if __name__ == '__main__':
    run(main)
