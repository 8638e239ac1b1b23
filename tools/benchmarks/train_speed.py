#!/usr/bin/env python
"""Small-image training: the per-image pipeline, the fast path, a bare eager loop.

All take whole training steps on made-up images, data included, in turn in one run:

bare       a loop as one writes it without MMEngine: tensors, modules, autograd, SGD;
           images in one tensor, cropped and flipped in batches; student, then teacher
per-image  the Runner with a pipeline for every image, the teacher as it was trained
fast       the Runner with the config as it is
fast-bf16  that, with the teacher under autocast to bfloat16, an approximation

The figures are medians; ratios are taken round by round. The data side is the loader
and the preprocessor alone, on one thread.
"""

import argparse
import copy
import tempfile
from statistics import median

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.datasets import BaseDataset

from mmkd.benchmark.step_cost import interleave, ratio
from mmkd.configs import build_model, load_model_config, name_of, teachers_of
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.files import check_writable
from mmkd.models.crop_flip_preprocessor import random_crop, random_flip
from mmkd.records import write_record

IMAGES = 6400


@DATASETS.register_module(force=True)
class NoiseImages(BaseDataset):
    """Noise images in memory, of CIFAR's size."""

    def __init__(self, pipeline):
        super().__init__(ann_file='', pipeline=pipeline)

    def load_data_list(self):
        rng = np.random.default_rng(0)
        images = rng.integers(256, size=(IMAGES, 32, 32, 3), dtype=np.uint8)
        labels = rng.integers(100, size=IMAGES).tolist()
        return [dict(img=img, gt_label=label) for img, label in zip(images, labels)]


@LOOPS.register_module(force=True)
class PausedLoop(EpochBasedTrainLoop):
    """Gets ready as a training does, then trains a batch at a time, when asked."""

    def run(self):
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.batches = self.forever()

    def forever(self):
        while True:
            yield from self.dataloader

    def step(self):
        # Never the last batch of an epoch: that would save a checkpoint.
        self.run_iter(0, next(self.batches))


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        'config',
        nargs='?',
        default='configs/cifar100/kd_resnet32x4_resnet8x4.py',
        help='a Distiller of classifiers with one teacher, on the fast path',
    )
    parser.add_argument(
        '--rounds', type=arguments.whole(2), default=20, help='timed steps'
    )
    parser.add_argument('--json', help='write the figures to this file')
    arguments.add_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.json:
        check_writable(args.json)
    cfg = load_model_config(args.config, args.cfg_options)
    if 'teacher' not in teachers_of(cfg.model):
        raise ConfigError(f'{args.config} has no Distiller with one teacher.')
    if name_of((cfg.get('train_dataloader') or {}).get('dataset')) != 'ImageTensors':
        raise ConfigError(
            f'{args.config} is not on the fast path, mmkd.ImageTensors in its '
            'train_dataloader; give one of configs/cifar100.'
        )
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    prepare(cfg)
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            'per-image': runner(per_image(cfg), folder, 'per-image'),
            'fast': runner(cfg, folder, 'fast'),
            'fast-bf16': runner(bf16(cfg), folder, 'fast-bf16'),
        }
        steps = {'bare': bare(cfg, device)}
        steps.update((name, paths[name].train_loop.step) for name in paths)
        times = interleave(steps, args.rounds, device, warmup=5)
        data = data_side(paths)
    figures = dict(
        config=args.config,
        batch=cfg.train_dataloader.batch_size,
        device=torch.cuda.get_device_name() if device == 'cuda' else 'cpu',
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        ms={name: 1e3 * median(values) for name, values in times.items()},
        ratio_to_bare={name: ratio(times[name], times['bare']) for name in times},
        data_images_per_s=data,
    )
    report(figures)
    if args.json:
        write_record(args.json, 'mmkd.train_speed/1', figures)


def prepare(cfg: Config) -> None:
    """Swap what does not matter for speed: data, weights, evaluation, logging."""
    # Speed does not depend on the weights.
    cfg.model.teacher.update(checkpoint=None, allow_untrained=True)
    cfg.train_dataloader.dataset.dataset = dict(type='NoiseImages')
    cfg.train_cfg = dict(type='PausedLoop', max_epochs=cfg.train_cfg.max_epochs)
    cfg.custom_hooks = []
    cfg.log_level = 'ERROR'
    for key in ('val', 'test'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            cfg[f'{key}_{part}'] = None


def per_image(cfg: Config) -> Config:
    """Return the same training in the usual way."""
    cfg = copy.deepcopy(cfg)
    cfg.train_dataloader.dataset = dict(
        type='NoiseImages',
        pipeline=[
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    )
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    cfg.data_preprocessor.type = 'ClsDataPreprocessor'
    cfg.model.teacher.inference = None
    cfg.default_hooks.runtime_info = dict(type='RuntimeInfoHook')
    cfg.default_hooks.pop('accelerate')
    return cfg


def bf16(cfg: Config) -> Config:
    """Return the same training with an approximate teacher."""
    cfg = copy.deepcopy(cfg)
    cfg.model.teacher.inference.dtype = 'bfloat16'
    return cfg


def runner(cfg: Config, folder: str, name: str) -> Runner:
    """Build a Runner that is ready to step."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.experiment_name = f'{folder}/{name}', name
    trained = Runner.from_cfg(cfg)
    trained.train()
    return trained


def bare(cfg: Config, device: str):
    """Return a training step without MMEngine's Runner, hooks and data samples."""
    cfg = copy.deepcopy(cfg)
    cfg.model.teacher.inference = None
    distiller = build_model(cfg).to(device).train()
    student, teacher = distiller.student, distiller.teachers['teacher'].model
    losses = [(term.loss, term.schedule.value) for term in distiller.terms]
    ce_weight = student.head.loss_module.loss_weight
    settings = dict(cfg.optim_wrapper.optimizer)
    kind = getattr(torch.optim, settings.pop('type'))
    optimizer = kind(student.parameters(), **settings)
    source = NoiseImages(pipeline=[])
    infos = [source.get_data_info(index) for index in range(IMAGES)]
    images = np.stack([info['img'] for info in infos]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    labels = torch.tensor([info['gt_label'] for info in infos], device=device)
    mean = torch.tensor(cfg.data_preprocessor.mean, device=device).view(-1, 1, 1)
    std = torch.tensor(cfg.data_preprocessor.std, device=device).view(-1, 1, 1)

    def logits(network, inputs):
        return network.head.fc(network.backbone(inputs)[-1].mean((2, 3)))

    def step():
        chosen = torch.randint(IMAGES, (cfg.train_dataloader.batch_size,)).to(device)
        inputs = random_flip(random_crop(images[chosen], 4), 0.5)
        inputs = (inputs.float() - mean) / std
        student_logits = logits(student, inputs)
        with torch.no_grad():
            teacher_logits = logits(teacher, inputs)
        target = labels[chosen]
        total = ce_weight * torch.nn.functional.cross_entropy(student_logits, target)
        sides = student_logits, teacher_logits
        for loss, weight in losses:
            total = total + weight * loss.compare(*sides, target)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def data_side(paths):
    """Images a second of loader and preprocessor alone, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def batch(path):
        loop = path.train_loop
        return lambda: path.model.data_preprocessor(next(loop.batches), True)

    steps = {name: batch(paths[name]) for name in ('per-image', 'fast')}
    device = next(paths['fast'].model.parameters()).device.type
    times = interleave(steps, 30, device)
    torch.set_num_threads(threads)
    size = paths['fast'].train_dataloader.batch_size
    return {name: size / median(values) for name, values in times.items()}


def report(figures: dict) -> None:
    """Print a table."""
    print(
        f'{figures["config"]}, batch {figures["batch"]}, {figures["device"]}, '
        f'{figures["threads"]} threads, torch {figures["torch"]}'
    )
    print('| path | ms a step | images/s | step / bare (quartiles) |')
    print('|---|---|---|---|')
    for name, ms in figures['ms'].items():
        low, mid, high = figures['ratio_to_bare'][name]
        rate = figures['batch'] / ms * 1e3
        print(f'| {name} | {ms:.1f} | {rate:.0f} | {mid:.3f} ({low:.3f}-{high:.3f}) |')
    data = figures['data_images_per_s']
    print(
        f'data side, one thread: per-image {data["per-image"]:.0f} images/s, fast '
        f'{data["fast"]:.0f}, {data["fast"] / data["per-image"]:.1f} times as many'
    )


if __name__ == '__main__':
    run(main)
