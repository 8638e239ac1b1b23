#!/usr/bin/env python
"""What distilling costs: a Distiller's full step against its bare parts.

Measured in one run, in turn: (a) the teacher's forward of what is needed, (b) the
student's plain training step, (c) the Distiller's training step. The ratio is
c / (a + b), round by round; the median is reported. Memory is what a step allocates
above its start, at its peak.
"""

import argparse
import copy
import statistics

import torch
from mmengine.optim import OptimWrapper

from mmkd.benchmark.step_cost import interleave, peak, ratio, weights
from mmkd.configs import build_model, load_model_config, student_alone, teachers_of
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import ConfigError
from mmkd.files import check_writable
from mmkd.models.taps import Taps
from mmkd.records import write_record
from mmkd.testing import classification_batch, detection_batch


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole
    parser.add_argument('config', help='a config with a Distiller and one teacher')
    parser.add_argument('--batch', type=whole(), default=16, help='images')
    parser.add_argument('--size', type=whole(), default=224, help='image side, pixels')
    parser.add_argument('--rounds', type=whole(2), default=15, help='timed steps')
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
    # Speed does not depend on the weights.
    cfg.model.teacher.update(checkpoint=None, allow_untrained=True)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.manual_seed(0)
    distiller = build_model(cfg).to(device).train()
    cfg.model = student_alone(cfg.model)
    student = build_model(cfg).to(device).train()
    student.load_state_dict(distiller.student.state_dict())
    teacher = distiller.teachers['teacher'].model
    batch = make_batch(student, args.batch, args.size)

    steps = dict(
        teacher=bare_teacher(teacher, student, batch),
        student=training_step(student, batch),
        distiller=training_step(distiller, batch),
    )
    figures = measure(steps, args.rounds, device)
    figures.update(config=args.config, batch=args.batch, size=args.size, device=device)
    figures['teacher_weights_mib'] = weights(teacher)
    report(figures)
    if args.json:
        write_record(args.json, 'mmkd.step_cost/1', figures)


def make_batch(student, batch, size):
    if hasattr(student, 'roi_head'):
        return detection_batch([3] * batch, classes=80, size=size)
    return classification_batch(batch, classes=student.head.num_classes, size=size)


def training_step(model, batch):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    wrapper = OptimWrapper(optimizer)
    return lambda: model.train_step(copy.deepcopy(batch), wrapper)


def bare_teacher(teacher, student, batch):
    """The least a teacher has to do, written without mmkd."""
    data = student.data_preprocessor(copy.deepcopy(batch), True)
    if not hasattr(teacher, 'roi_head'):
        return torch.no_grad()(lambda: teacher(data['inputs'], mode='tensor'))
    with Taps(student, (), 'student', ['roi_head.bbox_roi_extractor']) as taps:
        student(**copy.deepcopy(data), mode='loss')
    rois = taps['roi_head.bbox_roi_extractor'].calls[0].args[1].detach()

    @torch.no_grad()
    def step():
        feats = teacher.extract_feat(data['inputs'])
        teacher.roi_head._bbox_forward(feats, rois)

    return step


def measure(steps, rounds, device):
    times = interleave(steps, rounds, device)
    # After the first steps: those allocate what is kept, such as momentum.
    memory = {f'{name}_mib': peak(step, device) for name, step in steps.items()}
    parts = [a + b for a, b in zip(times['teacher'], times['student'])]
    quartiles = ratio(times['distiller'], parts)
    medians = {f'{name}_ms': 1e3 * statistics.median(times[name]) for name in steps}
    return dict(medians, **memory, ratio=quartiles[1], ratio_quartiles=quartiles)


def report(figures):
    low, _, high = figures['ratio_quartiles']
    allowed = figures['teacher_weights_mib'] + figures['teacher_mib']
    more = figures['distiller_mib'] - figures['student_mib']
    print(
        f'{figures["config"]}, batch {figures["batch"]}, {figures["size"]} px, '
        f'{figures["device"]}'
    )
    print('| part | ms a step (median) | peak MiB above its start |')
    print('|---|---|---|')
    for name in ('teacher', 'student', 'distiller'):
        print(
            f'| {name} | {figures[f"{name}_ms"]:.1f} | {figures[f"{name}_mib"]:.1f} |'
        )
    print(
        f'time: distiller / (teacher + student) = {figures["ratio"]:.3f} '
        f'(quartiles {low:.3f} to {high:.3f})'
    )
    print(
        f'memory: {more + figures["teacher_weights_mib"]:.1f} MiB over the student '
        f'alone, weights included; weights {figures["teacher_weights_mib"]:.1f} + '
        f'no-grad activations {figures["teacher_mib"]:.1f} = {allowed:.1f} MiB'
    )


if __name__ == '__main__':
    run(main)
