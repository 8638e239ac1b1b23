#!/usr/bin/env python
"""What a training step of each method costs over plain KD's: time and memory.

Every model is built as its config trains it, with its preprocessor, inference form,
layout and optimizer, and takes whole steps on one made-up batch, all in turn in one
run. The weights do not matter for the cost: teachers are untrained, and the learning
rate is 0, as training on noise could diverge. A preprocessor that makes two views of
an image, as MLKD's does, makes the step one of twice the images.

Times are medians, ratios to the baseline's step are taken round by round. Memory is
that of one model alone, at the peak of a step: the weights and buffers of student,
losses and teacher, the optimizer's state, and what the step allocates on top.

On a GPU each method first takes a step in which waiting for the device is an error
that names the config. It counts from when the batch is there, as stock preprocessors
wait for that, and is the 4th, so that the Distiller does not read its flags of
non-finite losses, as it does at every 50th. This has not been tried on a GPU. A CPU
cannot show it; there tests/test_models/test_every_loss.py does, for every loss.
"""

import argparse
import csv
import io
import os
from glob import glob
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, DefaultScope

from mmkd import provenance
from mmkd.benchmark.step_cost import interleave, peak, ratio, weights
from mmkd.configs import build_model, load_config, student_of, teachers_of
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.files import check_writable, write_text
from mmkd.testing import classification_batch
from mmkd.visualization import markdown_table

CONFIGS = 'configs/cifar100/*_resnet56_resnet20.py'
BASELINE = 'configs/cifar100/kd_resnet56_resnet20.py'
#: Labels of a training set of CIFAR-100's size.
LABELS = torch.arange(50000) % 100


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    add, whole = parser.add_argument, arguments.whole
    add('configs', nargs='*', help=f'of classifiers, default {CONFIGS}')
    add('--baseline', default=BASELINE, help='what the others are compared with')
    add(
        '--batch',
        type=whole(2),
        default=64,
        help='images, for losses that compare them 2 or more',
    )
    add('--size', type=whole(), default=32, help='image side, pixels')
    add('--rounds', type=whole(2), default=10, help='timed steps of each')
    add('--out', type=Path, help='write the table to this file, .md or .csv')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out and args.out.suffix not in ('.md', '.csv'):
        raise ConfigError(f'--out {args.out}: name a file that ends in .md or .csv.')
    if args.out:
        check_writable(args.out)
    configs = read([args.baseline, *(args.configs or sorted(glob(CONFIGS)))])
    # Each teacher would say that it is untrained.
    MMLogger.get_instance('loss_cost', log_level='ERROR')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    steps, memory = {}, {}
    for name, cfg in configs.items():
        model, wrapper = build(cfg, device)
        steps[name] = step = training_step(model, wrapper, args.batch, args.size)
        for _ in range(2):
            step()  # allocates what is kept, such as momentum
        memory[name] = held(model, wrapper) + peak(step, device)
        if device == 'cuda':
            forbid_waiting(name, model, step)
    times = interleave(steps, args.rounds, device)
    rows = figures(times, memory)
    title = (
        f'batch {args.batch}, {args.size} px, {args.rounds} rounds, '
        f'{provenance.device()}, {torch.get_num_threads()} threads, '
        f'torch {torch.__version__}'
    )
    text = f'{title}\n\n{markdown(rows)}\n'
    print(text, end='')
    if args.out:
        as_csv = args.out.suffix == '.csv'
        write_text(args.out, comma_separated(rows, title) if as_csv else text)


def read(paths) -> dict:
    """Return the configs by name, the baseline, which is the first, once."""
    configs = {}
    for path in dict.fromkeys(map(os.path.relpath, paths)):
        name = Path(path).stem
        if name in configs:
            raise ConfigError(f'{path}: another config is named {name} too; rename it.')
        configs[name] = cfg = load_config(path)
        if not cfg.get('model') or not cfg.get('optim_wrapper'):
            raise ConfigError(f'{path} needs a model and an optim_wrapper to train.')
        if 'head' not in student_of(cfg.model):
            raise ConfigError(f'{path} is of no classifier; give configs of such.')
    return configs


def build(cfg: Config, device: str):
    """Return a model as a Runner has it when training begins, and its optimizer."""
    for teacher in teachers_of(cfg.model).values():
        teacher.update(checkpoint=None, allow_untrained=True)
    torch.manual_seed(0)
    model = build_model(cfg).to(device).train()
    for term in getattr(model, 'terms', ()):
        term.loss.see_training_set(LABELS)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        accelerate = cfg.get('default_hooks', {}).get('accelerate')
        if accelerate:
            logger = MMLogger.get_current_instance()
            runner = SimpleNamespace(model=model, logger=logger)
            HOOKS.build(accelerate).before_train(runner)
    for group in wrapper.optimizer.param_groups:
        group['lr'] = 0.0
    return model, wrapper


def training_step(model, wrapper, batch, size):
    data = classification_batch(batch, classes=model.head.num_classes, size=size)
    return lambda: model.train_step(data, wrapper)


def held(model, wrapper) -> float:
    """MiB that a model in training holds between two steps."""
    teachers = getattr(model, 'teachers', {}).values()
    networks = [model, *(teacher.model for teacher in teachers)]
    kept = [
        value for state in wrapper.optimizer.state.values() for value in state.values()
    ]
    state = sum(value.nbytes for value in kept if isinstance(value, torch.Tensor))
    return sum(map(weights, networks)) + state / 2**20


def forbid_waiting(name, model, step) -> None:
    """Take a step that must not wait for the device once the batch is there."""
    set_mode = torch.cuda.set_sync_debug_mode
    hook = model.register_forward_pre_hook(lambda *_: set_mode('error'))
    try:
        step()
    except RuntimeError as error:
        raise RuntimeError(f'{name}: no step without waiting for the GPU') from error
    finally:
        set_mode('default')
        hook.remove()


def figures(times, memory) -> list:
    baseline = next(iter(times))
    rows = []
    for name, seconds in times.items():
        low, mid, high = ratio(seconds, times[baseline])
        row = dict(config=name, ms=1e3 * median(seconds))
        row.update(ratio=mid, ratio_low=low, ratio_high=high)
        row.update(peak_mib=memory[name], over_mib=memory[name] - memory[baseline])
        rows.append(row)
    return rows


def markdown(rows) -> str:
    """Return the table; the first row is the baseline's."""
    table = {
        row['config']: {
            'ms a step': f'{row["ms"]:.1f}',
            f'step / {rows[0]["config"]} (quartiles)': f'{row["ratio"]:.2f} '
            f'({row["ratio_low"]:.2f}-{row["ratio_high"]:.2f})',
            'peak MiB': f'{row["peak_mib"]:.1f}',
            'MiB over it': f'{row["over_mib"]:+.1f}',
        }
        for row in rows
    }
    return markdown_table(table, 'config')


def comma_separated(rows, title) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*rows[0], 'setup'], lineterminator='\n')
    writer.writeheader()
    writer.writerows(dict(row, setup=title) for row in rows)
    return out.getvalue()


if __name__ == '__main__':
    run(main)
