#!/usr/bin/env python
"""Train what a config describes: a Distiller, or any stock model."""

import argparse
from pathlib import Path

from mmkd.engine.checks import check_batch_size, check_data
from mmkd.engine.launch import add_arguments, build_runner, prepare_config, run, use_amp
from mmkd.errors import ConfigError
from mmkd.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::path')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help="go on from a checkpoint; without a value, from the work dir's latest",
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (GPU)')
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate while training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the total batch size',
    )
    add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = prepare_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        use_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ConfigError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=N) in the '
                'config: the total batch size that its learning rate is meant for.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    check_writable(Path(cfg.work_dir) / 'log')
    check_data(cfg, ('train_dataloader', 'val_dataloader'))
    check_batch_size(cfg)
    # It needs torch, for which --help does not wait.
    from mmkd.engine.checks.opening import open_data, reading

    runner = build_runner(cfg)
    open_data(runner)
    with reading(runner):
        runner.train()


if __name__ == '__main__':
    run(main)
