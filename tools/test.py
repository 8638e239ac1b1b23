#!/usr/bin/env python
"""Test a checkpoint: a distilled student's, or any stock model's."""

import argparse
from pathlib import Path

from mmkd.configs import student_alone
from mmkd.engine import arguments
from mmkd.engine.checks import check_data
from mmkd.engine.launch import build_runner, prepare_config, run
from mmkd.errors import ConfigError
from mmkd.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        'config', help="the student's stock config, or the one it was distilled with"
    )
    parser.add_argument('checkpoint', help='path or URL')
    parser.add_argument('--out', help='write the predictions to this .pkl file')
    parser.add_argument('--show', action='store_true', help='show predictions')
    parser.add_argument('--show-dir', help='draw predictions into this folder')
    parser.add_argument(
        '--wait-time', type=arguments.number(0), default=2, help='seconds a picture'
    )
    parser.add_argument('--tta', action='store_true', help='test time augmentation')
    arguments.add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = prepare_config(args)
    # Nothing is taught here; the teacher need not even be there.
    cfg.model = student_alone(cfg.model)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        _show(cfg, args)
    if args.tta:
        _augment(cfg)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise ConfigError(f'--out must end in .pkl or .pickle, got {args.out!r}.')
    for path in (Path(cfg.work_dir) / 'log', *filter(None, [args.out])):
        check_writable(path)
    check_data(cfg, ('test_dataloader',))
    # It needs torch, for which --help does not wait.
    from mmkd.engine.checks.opening import open_data, reading

    runner = build_runner(cfg)
    open_data(runner, ('test',))
    if args.out:
        from mmengine.evaluator import DumpResults

        runner.test_evaluator.metrics.append(DumpResults(args.out))
    with reading(runner):
        runner.test()


def _show(cfg, args):
    hook = cfg.default_hooks.get('visualization')
    if hook is None:
        raise ConfigError(
            '--show and --show-dir need a visualization hook in default_hooks.'
        )
    # mmdet's hook is switched on by draw, mmpretrain's by enable.
    hook['enable' if cfg.get('default_scope') == 'mmpretrain' else 'draw'] = True
    hook.show = args.show
    hook.wait_time = args.wait_time
    if args.show_dir:
        key = 'out_dir' if cfg.get('default_scope') == 'mmpretrain' else 'test_out_dir'
        hook[key] = args.show_dir


def _augment(cfg):
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise ConfigError('--tta needs tta_model and tta_pipeline in the config.')
    cfg.model = dict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


if __name__ == '__main__':
    run(main)
