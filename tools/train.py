#!/usr/bin/env python
"""Train what a config describes: a Distiller, or any stock model."""

import argparse
from pathlib import Path

from mmengine.config import Config

from mmkd.engine import arguments
from mmkd.engine.checks import check_batch_size, check_data
from mmkd.engine.launch import build_runner, prepare_config, run, use_amp
from mmkd.errors import ConfigError
from mmkd.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument('config', help='path, or package::path')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help="go on from a checkpoint; without a value, from the work dir's newest",
    )
    parser.add_argument(
        '--allow-new-losses',
        action='store_true',
        help='let losses that the checkpoint was trained without begin afresh',
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
    arguments.add_arguments(parser)
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
    if args.allow_new_losses and not args.resume:
        raise ConfigError('--allow-new-losses goes with --resume; give both.')
    check_writable(Path(cfg.work_dir) / 'log')
    check_data(cfg, ('train_dataloader', 'val_dataloader'))
    check_batch_size(cfg)
    train(cfg, args)


def train(cfg: Config, args: argparse.Namespace) -> None:
    # They need torch, for which --help does not wait.
    from mmkd.engine.checks.opening import open_data, reading
    from mmkd.engine.hooks import ResumeHook
    from mmkd.engine.resume import alone, prepare_resuming

    with alone(cfg):
        if args.resume:
            prepare_resuming(cfg, None if args.resume == 'auto' else args.resume)
        elif cfg.get('resume'):
            prepare_resuming(cfg, cfg.get('load_from'))
        runner = build_runner(cfg)
        if cfg.get('resume'):
            runner.register_hook(ResumeHook(args.allow_new_losses))
        open_data(runner)
        with reading(runner):
            runner.train()


if __name__ == '__main__':
    run(main)
