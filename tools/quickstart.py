"""Distil a detector in minutes on a CPU and show what it brings.

Makes a small detection set of handwritten digits, trains a teacher and a student,
trains the student again with KD and with LumiNet, and writes a table and two
pictures. Run again, it continues where it stopped.

Example:
    python tools/quickstart.py --work-dir work_dirs/quickstart
"""

import argparse
import os
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path

warnings.filterwarnings('ignore')  # the libraries' own, in the course of imports

# ruff: noqa: E402
from mmengine.config import Config

from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError, DamagedError
from mmkd.files import write_text
from mmkd.locks import locked
from mmkd.records import NUMBER, read_record, write_record

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs/quickstart'
#: Name of each training's config and of what it makes.
MODELS = dict(
    teacher='teacher',
    student='student',
    kd='student with KD',
    luminet='student with LumiNet',
)
STEPS = len(MODELS) + 2
METRICS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75')
SCENES = 4  # in the picture: the first ones
TIMED = 60  # images
FORMAT = 'mmkd.quickstart/1'
SILENCE = open(os.devnull, 'w')


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/quickstart'),
        help='folder of data, trainings and results',
    )
    parser.add_argument(
        '--seed', type=arguments.seed, default=0, help='of every training'
    )
    parser.add_argument(
        '--scale',
        type=arguments.number(above=0, most=1),
        default=1.0,
        help='shrink iterations and images by this factor, to try the tool itself',
    )
    return parser.parse_args()


def say(step: int, text: str) -> None:
    print(f'[{step}/{STEPS}] {text}', flush=True)


def claim(args: argparse.Namespace) -> None:
    """Keep runs of other settings out of this work dir."""
    path = args.work_dir / 'settings.json'
    wanted = dict(seed=args.seed, scale=args.scale)
    advice = f'delete it if {wanted} is what it said, else choose another --work-dir'
    try:
        known = read_record(path, FORMAT, dict(seed=int, scale=NUMBER), advice)
    except DamagedError:
        if any(args.work_dir.glob('*/*.pth')):
            raise
        known = {}
    if known not in ({}, wanted):
        raise ConfigError(
            f'{args.work_dir} holds a run with {known}, wanted is {wanted}; choose '
            'another --work-dir or delete that one.'
        )
    write_record(path, FORMAT, wanted)


def configure(name: str, args: argparse.Namespace) -> Config:
    """The shipped config with this run's seed and folders."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.work_dir = str(args.work_dir / name)
    cfg.experiment_name = name
    cfg.randomness = dict(seed=args.seed)
    if 'teacher' in cfg.model:
        teacher = final_checkpoint(configure('teacher', args))
        cfg.model.teacher = dict(
            config=str(CONFIGS / 'teacher.py'), checkpoint=str(teacher)
        )
    if args.scale < 1:
        shrink(cfg, args)
    return cfg


def shrink(cfg: Config, args: argparse.Namespace) -> None:
    def scaled(number: int) -> int:
        return max(2, round(number * args.scale))

    loop, (warmup, decay) = cfg.train_cfg, cfg.param_scheduler
    loop.max_iters, loop.val_interval = scaled(loop.max_iters), loop.max_iters
    cfg.default_hooks.checkpoint.interval = scaled(100)
    warmup.end = decay.begin = scaled(warmup.end) - 1
    decay.end = loop.max_iters
    for loss in cfg.model.get('losses', {}).values():
        if isinstance(loss.weight, dict):
            loss.weight.warmup_iters = scaled(loss.weight.warmup_iters)
    root = f'{args.work_dir / "digits"}/'
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(
            data_root=root, digits=dict(num_train=scaled(600), num_val=scaled(120))
        )
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = root + 'annotations/instances_val.json'


def final_checkpoint(cfg: Config) -> Path:
    return Path(cfg.work_dir) / f'iter_{cfg.train_cfg.max_iters}.pth'


def iteration(checkpoint: Path) -> int:
    return int(checkpoint.stem.split('_')[1])


def make_data(args: argparse.Namespace) -> None:
    from mmkd.datasets import make_digits

    loaders = [configure(name, args).train_dataloader for name in MODELS]
    folders = {loader.dataset.data_root: loader.dataset.digits for loader in loaders}
    say(1, f'digits: scenes in {" and ".join(folders)}')
    for folder, digits in folders.items():
        make_digits(folder, **digits)


def train(step: int, name: str, args: argparse.Namespace) -> None:
    from mmkd.engine.launch import build_runner
    from mmkd.engine.resume import newest_checkpoint
    from mmkd.visualization import ProgressHook, read_scalars

    cfg, title = configure(name, args), MODELS[name]
    latest, final = newest_checkpoint(Path(cfg.work_dir)), final_checkpoint(cfg)
    # A kill between the last checkpoint and its validation leaves that out.
    validated, _ = read_scalars(cfg.work_dir, 'coco/bbox_mAP', empty=0.0)
    if latest == final and cfg.train_cfg.max_iters in validated:
        return say(step, f'{title}: trained already')
    if latest and iteration(latest) > cfg.train_cfg.max_iters:
        raise ConfigError(
            f'{cfg.work_dir} holds {latest.name}, longer trained than the '
            f'{cfg.train_cfg.max_iters} iterations wanted; choose another --work-dir.'
        )
    if final.exists() and latest != final:
        say(step, f'{title}: {final.name} is damaged, it is made again')
    if latest:
        say(step, f'{title}: resuming from {latest.name}')
        cfg.merge_from_dict(dict(resume=True, load_from=str(latest)))
    hook = ProgressHook(f'[{step}/{STEPS}] {title}', 'coco/bbox_mAP')
    with redirect_stdout(SILENCE):  # the Runner's log goes to its file
        runner = build_runner(cfg)
        runner.register_hook(hook)
        runner.train()


def evaluate(name: str, args: argparse.Namespace) -> tuple[dict, list]:
    """The figures of a model and its detections; students by their stock config."""
    from mmengine.runner import Runner

    cfg = configure('teacher' if name == 'teacher' else 'student', args)
    cfg.load_from = str(final_checkpoint(configure(name, args)))
    cfg.work_dir = str(args.work_dir / 'test' / name)
    cfg.experiment_name = f'test_{name}'
    cfg.test_dataloader.batch_size = 1  # an image at a time is timed
    with redirect_stdout(SILENCE):
        runner = Runner.from_cfg(cfg)
        metrics = runner.test()
    times, samples = [], []
    for _, batch in zip(range(TIMED), runner.test_dataloader):
        start = time.perf_counter()
        samples += [sample.cpu() for sample in runner.model.test_step(batch)]
        times.append(time.perf_counter() - start)
    figures = {
        # An evaluator that was shown no detection at all reports nothing.
        column: metrics.get(f'coco/{metric}', 0.0)
        for column, metric in zip(('AP', 'AP50', 'AP75'), METRICS)
    }
    figures['parameters'] = sum(p.numel() for p in runner.model.parameters())
    figures['ms per image'] = round(1000 * sorted(times)[len(times) // 2], 1)
    return figures, samples[:SCENES]


def report(args: argparse.Namespace) -> None:
    """Print and write the table, draw the pictures."""
    import torch
    from mmengine.device import get_device

    import mmkd.visualization as vis
    from mmkd.datasets import DigitsDataset

    out = args.work_dir
    title = f'Quickstart on digits, seed {args.seed}, {get_device()}'
    if args.scale < 1:
        title += f', SHRUNKEN to {args.scale}: the figures mean nothing'
    results = {label: evaluate(name, args) for name, label in MODELS.items()}
    rows = {label: figures for label, (figures, _) in results.items()}
    text = f'{title}\n\n{vis.markdown_table(rows)}\n'
    print(f'\n{text}')
    write_text(out / 'report.md', text)
    summary = dict(title=title, torch=torch.__version__, models=rows)
    write_record(out / 'report.json', 'mmkd.quickstart-report/1', summary)

    columns = {
        f'{label}, AP {figures["AP"]:.3f}': samples
        for label, (figures, samples) in results.items()
    }
    classes = DigitsDataset.METAINFO['classes']
    vis.draw_detections(out / 'detections.png', columns, classes)
    ap, loss = {}, {}
    for name, label in MODELS.items():
        ap[label] = vis.read_scalars(out / name, 'coco/bbox_mAP')
        loss[label] = vis.read_scalars(out / name, 'loss', less=f'loss_{name}')
    panels = {
        'AP (0 to 1), validation scenes': ap,
        "detector's own training loss": loss,
    }
    vis.draw_curves(out / 'curves.png', panels, title)


def main() -> None:
    args = parse_args()
    start = time.time()
    if not 0 < args.scale <= 1:
        raise ConfigError(f'--scale {args.scale} is not above 0 and up to 1.')
    with locked(args.work_dir):
        claim(args)
        make_data(args)
        for step, name in enumerate(MODELS, start=2):
            train(step, name, args)
        say(STEPS, 'evaluation, table and pictures')
        report(args)
    test = os.path.relpath(ROOT / 'tools/test.py')
    student = os.path.relpath(CONFIGS / 'student.py')
    print(
        f'Took {(time.time() - start) / 60:.1f} minutes. Written to {args.work_dir}: '
        'report.md, report.json, detections.png, curves.png.\n'
        'The distilled student is an ordinary mmdet checkpoint; evaluate it with\n'
        f'  python {test} {student} {final_checkpoint(configure("luminet", args))}'
    )


if __name__ == '__main__':
    run(main, 'interrupted; run the same command again to continue')
