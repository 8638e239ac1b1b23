#!/usr/bin/env python
"""Export a distilled student: slim weights and the stock config that loads them."""

import argparse
import os.path as osp
from pathlib import Path
from typing import Iterator, List

from mmengine.config import Config

from mmkd.checkpoints import write_checkpoint
from mmkd.configs import build_model, files_of, load_model_config, teachers_of
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.export import StockConfig, stock_config
from mmkd.files import check_writable, write_text
from mmkd.models.load_weights import load_weights

#: What of a checkpoint's meta data is about the student.
KEPT = ('dataset_meta', 'experiment_name', 'epoch', 'iter')


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument('config', help='the config that the student was trained with')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('--out-dir', default='.', help='folder for the two files')
    parser.add_argument(
        '--name', help="their name; by default the config file's, with _student"
    )
    parser.add_argument(
        '--prefix', help="what the student's names begin with in a file of several"
    )
    arguments.add_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_model_config(args.config, args.cfg_options)
    name = args.name or f'{Path(args.config).stem}_student'
    weights, config = (Path(args.out_dir) / f'{name}{end}' for end in ('.pth', '.py'))
    spare([weights, config], [args.checkpoint, *inputs(cfg)])
    for path in (weights, config):
        check_writable(path)
    stock = stock_config(cfg)
    model = build_model(stock.config)
    whose = f'the student of {args.config}'
    checkpoint = load_weights(model, args.checkpoint, whose, prefix=args.prefix)
    # As they are in the file, which may be of another precision.
    state = {k: checkpoint.weights.get(k, v) for k, v in model.state_dict().items()}
    meta = {key: checkpoint.meta[key] for key in KEPT if key in checkpoint.meta}
    about = notes(stock)
    write_checkpoint(weights, state, meta)
    lines = ''.join(f'# {note}\n' for note in about)
    write_text(config, lines + stock.config.pretty_text)
    was = Path(args.checkpoint)
    was = f' (was {mebibytes(was)})' if was.is_file() else ''
    print(f'{weights}: {len(state)} tensors, {mebibytes(weights)}{was}')
    print('\n'.join([f'{config}: the stock config', *about]))


def inputs(cfg: Config) -> Iterator[str]:
    """Give the files that a config is made of, and those of networks that it names."""
    yield from files_of(cfg)
    for teacher in teachers_of(cfg.model).values():
        yield from (teacher.get('config'), teacher.get('checkpoint'))
    yield cfg.get('load_from')


def spare(outputs: List[Path], inputs: List[str]) -> None:
    """Refuse to write over a file that something is read from.

    Raises:
        ConfigError: An output is an input, by whatever path.
    """
    files = [path for path in inputs if isinstance(path, str) and osp.isfile(path)]
    for output in outputs:
        if output.exists() and any(osp.samefile(output, path) for path in files):
            raise ConfigError(
                f'{output} would be written over, but it is read from; choose another '
                '--name or --out-dir.'
            )


def notes(stock: StockConfig) -> List[str]:
    """Say in sentences what is not as in any stock config."""
    lines = [f'Trained on, {change}.' for change in stock.changed]
    if stock.left:
        lines.append(
            f'Needs mmkd, which custom_imports brings, for {", ".join(stock.left)}: '
            'they have no stock counterpart.'
        )
    return lines


def mebibytes(path: Path) -> str:
    return f'{path.stat().st_size / 2**20:.1f} MiB'


if __name__ == '__main__':
    run(main)
