#!/usr/bin/env python
"""Export a distilled student: slim weights and the stock config that loads them."""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import CheckpointLoader

from mmkd.configs import build_model, is_distiller, load_config
from mmkd.engine.launch import run
from mmkd.errors import CheckpointError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the config that the student was trained with')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('--out-dir', default='.', help='folder for the two files')
    parser.add_argument('--name', help="their name; by default the config file's")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, map_location='cpu')
    cfg = stock_config(cfg)
    weights = {
        key: value
        for key, value in checkpoint.get('state_dict', checkpoint).items()
        if not key.startswith('distill.')
    }
    _check_fit(cfg, weights, args.checkpoint)
    out = Path(args.out_dir)
    out.mkdir(parents=True, exist_ok=True)
    name = args.name or Path(args.config).stem
    kept = ('dataset_meta', 'experiment_name', 'epoch', 'iter')
    meta = checkpoint.get('meta') or {}
    meta = {key: meta[key] for key in kept if key in meta}
    torch.save(dict(state_dict=weights, meta=meta), out / f'{name}.pth')
    cfg.dump(out / f'{name}.py')
    sizes = [
        Path(p).stat().st_size / 2**20 for p in (args.checkpoint, out / f'{name}.pth')
    ]
    print(
        f'{out / name}.pth: {len(weights)} tensors, {sizes[1]:.1f} MiB '
        f'(was {sizes[0]:.1f} MiB)\n{out / name}.py: the stock config'
    )


def stock_config(cfg: Config) -> Config:
    """Return the config with the student as the model and without mmkd's hooks."""
    if is_distiller(cfg.model):
        cfg.model = cfg.model.student
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [
        hook for hook in hooks if not str(hook.get('type')).startswith('mmkd.')
    ]
    cfg.load_from = None
    cfg.resume = False
    return cfg


def _check_fit(cfg, weights, path):
    wanted = build_model(cfg).state_dict()
    odd = sorted(set(wanted) ^ set(weights))
    odd += [
        key
        for key in wanted.keys() & weights
        if wanted[key].shape != weights[key].shape
    ]
    if odd:
        raise CheckpointError(
            f'{path} is not of the student in this config: {len(odd)} tensors are '
            f'missing, too many or of another shape, such as {odd[0]!r}.'
        )


if __name__ == '__main__':
    run(main)
