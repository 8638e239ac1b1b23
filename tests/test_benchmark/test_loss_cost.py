"""The cost of the methods, as a user asks for it, and its check for waiting."""

import csv
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmkd.engine.launch import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools/benchmarks')
    return importlib.import_module('loss_cost')


def network(depth):
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmkd.CIFARResNet', depth=depth, widths=(4, 4, 8, 12)),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', in_channels=12, num_classes=10),
    )


def write_config(path, **loss):
    """Write a config whose teacher has a checkpoint that is not there."""
    teacher = dict(config=network(14), checkpoint='missing.pth')
    student = dict(network(8), _scope_='mmpretrain')
    model = dict(type='mmkd.Distiller', student=student, teacher=teacher)
    cfg = dict(
        default_scope='mmpretrain',
        data_preprocessor=dict(type='mmkd.CropFlipPreprocessor', mean=[0], std=[64]),
        # Any step at this learning rate would end in a loss that is not finite.
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e9, momentum=0.9)),
        default_hooks=dict(accelerate=dict(type='mmkd.AccelerateHook')),
        model=dict(model, losses=dict(loss_kd=loss)),
    )
    Config(cfg).dump(path)
    return path


def test_every_config_has_a_row_next_to_the_baseline(tmp_path):
    kd = write_config(tmp_path / 'kd.py', type='KDLoss', on='logits')
    memory = dict(num_samples=50000, feat_dim=16, negatives=8)
    crd = write_config(tmp_path / 'crd.py', type='CRDLoss', on='neck', **memory)
    out = tmp_path / 'made' / 'cost.csv'
    command = [sys.executable, 'tools/benchmarks/loss_cost.py', crd, kd]
    command += ['--baseline', kd, '--batch', '4', '--rounds', '2', '--out', out]
    env = dict(os.environ, OMP_NUM_THREADS='1')
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    printed = done.stdout
    rows = list(csv.DictReader(out.open()))
    assert [row['config'] for row in rows] == ['kd', 'crd']  # each once
    ratios = [float(rows[0][key]) for key in ('ratio', 'ratio_low', 'ratio_high')]
    assert ratios == [1.0, 1.0, 1.0] and float(rows[0]['over_mib']) == 0
    assert '1.00 (1.00-1.00)' in printed
    # Two memories are kept, and a step copies them.
    assert 4 * 50000 * 16 * 4 / 2**20 < float(rows[1]['over_mib']) < 40
    for row in rows:
        assert float(row['ms']) > 0
        assert re.search(rf'\| {row["config"]} +\| +{float(row["ms"]):.1f} \|', printed)
    assert printed.startswith(rows[0]['setup']) and 'batch 4, ' in printed


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['configs/none_such.py'], 'error: config configs/none_such.py cannot be read'),
        (['--out', 'cost.txt'], 'error: --out cost.txt: name a file'),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    tool, monkeypatch, arguments, sentence
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['loss_cost.py', *arguments])
    with pytest.raises(SystemExit, match=f'^{sentence}'):
        run(tool.main)


class Waiting(torch.nn.Module):
    """Stands in for a GPU: raises where torch would, told not to wait."""

    mode = 'default'
    waits = False

    def forward(self):
        assert self.mode == 'error'
        if self.waits:
            raise RuntimeError('called a synchronizing CUDA operation')

    def set_mode(self, mode):
        self.mode = mode


def test_a_loss_that_waits_is_named(tool, monkeypatch):
    model = Waiting()
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', model.set_mode)
    tool.forbid_waiting('kd', model, model)
    assert model.mode == 'default' and not model._forward_pre_hooks
    model.waits = True
    with pytest.raises(RuntimeError, match='kd: .*waiting'):
        tool.forbid_waiting('kd', model, model)
    assert model.mode == 'default' and not model._forward_pre_hooks
