"""Timing that compares fairly, and the speed benchmark as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmkd.benchmark.step_cost import interleave, ratio

ROOT = Path(__file__).resolve().parents[2]


def test_every_step_is_first_as_often():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in 'abc'}
    times = interleave(steps, 6, 'cpu', warmup=1)
    assert [len(values) for values in times.values()] == [6] * 3
    assert all(second >= 0 for values in times.values() for second in values)
    rounds = [order[at : at + 3] for at in range(3, 21, 3)]
    assert [names[0] for names in rounds] == list('abcabc')
    assert all(sorted(names) == list('abc') for names in rounds)


def test_ratio_is_taken_round_by_round():
    assert ratio([2.0, 4.0, 6.0], [1.0, 4.0, 2.0]) == pytest.approx([1.0, 2.0, 3.0])


def test_speed_benchmark_measures_four_ways_to_train(tmp_path):
    small = ['model.student.backbone.depth=8', 'train_dataloader.batch_size=8']
    small += ['model.teacher.config.model.backbone.depth=8']
    command = [sys.executable, 'tools/benchmarks/train_speed.py']
    command += ['configs/cifar100/kd_resnet56_resnet20.py', '--rounds', '3']
    command += ['--json', str(tmp_path / 'speed.json'), '--cfg-options', *small]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / 'speed.json').read_text())
    ways = ['bare', 'per-image', 'fast', 'fast-bf16']
    assert list(figures['ms']) == ways and figures['batch'] == 8
    assert figures['ratio_to_bare']['bare'] == [1.0, 1.0, 1.0]
    assert all(value > 0 for value in figures['ms'].values())
    for way in ways:
        assert f'| {way} | {figures["ms"][way]:.1f} |' in done.stdout
