"""The CIFAR path in the Runner: seeds, logging, validation, resuming."""

import copy
import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample

from mmkd.engine.loops.accuracy_val_loop import count_hits
from mmkd.errors import ConfigError
from mmkd.testing import toy_classifier


class Noise(torch.utils.data.Dataset):
    """Twenty noise images with labels, given out in batches."""

    metainfo = dict(classes=tuple('abcdefghij'))
    images = torch.randint(256, (20, 3, 32, 32), generator=torch.manual_seed(0)).byte()

    def __len__(self):
        return 20

    def __getitems__(self, indices):
        samples = [DataSample().set_gt_label(index % 10) for index in indices]
        return dict(inputs=self.images[list(indices)], data_samples=samples)


class Record(Hook):
    """Keeps what the Runner logs, and the hub's numbers of every epoch."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.losses, self.draws, self.metrics = [], [], []

    def before_train_epoch(self, runner):
        self.draws.append((random.random(), np.random.rand(), torch.rand(1).item()))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())

    def after_val_epoch(self, runner, metrics=None):
        self.metrics.append(metrics)


def distiller():
    student = toy_classifier()
    student.data_preprocessor.update(type='mmkd.CropFlipPreprocessor')
    student.backbone.update(drop_path_rate=0.3)
    return dict(
        type='mmkd.Distiller',
        student=student,
        losses=dict(loss_kd=dict(type='KDLoss', on='logits')),
        teacher=dict(config=toy_classifier(width=12), allow_untrained=True),
    )


def train(work_dir, epochs=3, model=None, loop='mmkd.AccuracyValLoop', **hooks):
    loader = dict(
        dataset=Noise(),
        batch_size=6,
        num_workers=0,
        collate_fn=dict(type='mmkd.keep_batch'),
    )
    record = Record()
    resume = hooks.pop('resume', False)
    runner = Runner(
        model=copy.deepcopy(model or distiller()),
        work_dir=str(work_dir),
        train_dataloader=dict(loader, sampler=dict(type='DefaultSampler')),
        val_dataloader=dict(loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(type=loop, **(dict(topk=(1, 5)) if 'mmkd' in loop else {})),
        val_evaluator=dict(type=Accuracy, topk=(1, 5)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        default_hooks=dict(epoch_seed=dict(type='mmkd.EpochSeedHook'), **hooks),
        custom_hooks=[record],
        randomness=dict(seed=5),
        resume=resume,
        experiment_name=f'{work_dir}{epochs}{resume}'.replace('/', '_'),
        log_level='ERROR',
    )
    runner.train()
    return runner, record


def weights(runner):
    return torch.cat([p.detach().flatten() for p in runner.model.parameters()])


def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_not_stopped(tmp_path):
    whole, seen = train(tmp_path / 'whole', epochs=3)
    train(tmp_path / 'part', epochs=2)
    resumed, rest = train(tmp_path / 'part', epochs=3, resume=True)
    assert rest.losses == seen.losses[8:] and len(rest.losses) == 4
    assert rest.draws == seen.draws[2:]
    assert torch.equal(weights(resumed), weights(whole))


def test_epochs_and_seeds_draw_other_numbers(tmp_path):
    _, record = train(tmp_path, epochs=3)
    for numbers in zip(*record.draws):
        assert len(set(numbers)) == 3


def test_buffered_log_is_the_stock_log(tmp_path):
    logs = []
    for kind, extra in (('RuntimeInfoHook', {}), ('mmkd.BufferedInfoHook', {})):
        if 'mmkd' in kind:
            extra = dict(interval=3)
        info = dict(type=kind, **extra)
        runner, _ = train(
            tmp_path / kind,
            runtime_info=info,
            logger=dict(type='LoggerHook', interval=3),
        )
        logs.append(runner.message_hub.log_scalars)
    assert 'train/loss_kd' in logs[0]
    for key in logs[0]:
        if 'time' in key:
            continue
        for stock, buffered in zip(logs[0][key].data, logs[1][key].data):
            np.testing.assert_array_equal(stock, buffered)


def test_buffered_log_does_not_read_in_every_step(monkeypatch, tmp_path):
    steps = []
    update = MessageHub.update_scalar

    def note(self, name, *args, **kwargs):
        if name == 'train/loss':
            steps.append(self.get_info('iter'))
        update(self, name, *args, **kwargs)

    monkeypatch.setattr(MessageHub, 'update_scalar', note)
    logger = dict(type='LoggerHook', interval=100)
    info = dict(type='mmkd.BufferedInfoHook', interval=50)
    train(tmp_path, epochs=2, runtime_info=info, logger=logger)
    assert steps == [3] * 4 + [7] * 4


def test_logger_must_not_read_in_between(tmp_path):
    info = dict(type='mmkd.BufferedInfoHook', interval=50)
    with pytest.raises(ConfigError, match='every 10 iterations'):
        train(tmp_path, runtime_info=info, logger=dict(type='LoggerHook', interval=10))


def test_val_loop_gives_the_stock_loops_figures(tmp_path):
    _, stock = train(tmp_path / 'stock', loop='ValLoop')
    _, fast = train(tmp_path / 'fast')
    assert len(fast.metrics) == 3
    assert any(0 < row['accuracy/top1'] < 100 for row in fast.metrics)
    for actual, expected in zip(fast.metrics, stock.metrics):
        assert actual == pytest.approx(expected, abs=1e-4)


def test_images_that_a_distributed_sampler_repeats_count_once(tmp_path, monkeypatch):
    """The last of three processes: it gets 7 of 20 images, one of them repeated."""
    where = 'mmkd.engine.loops.accuracy_val_loop.'
    monkeypatch.setattr(f'{where}get_world_size', lambda: 3)
    monkeypatch.setattr(f'{where}get_rank', lambda: 2)
    counts = []
    monkeypatch.setattr(f'{where}all_reduce', lambda total: counts.append(total[-1]))
    train(tmp_path, epochs=1)
    assert counts == [6]


def test_hits_are_counted_by_rank():
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]])
    labels = torch.tensor([0, 1, 2])
    assert count_hits(logits, labels, (1, 2)).tolist() == [1, 2, 3]
    assert count_hits(logits, labels, (1, 5)).tolist() == [1, 3, 3]


def test_ema_and_accelerated_student_resume(tmp_path):
    hooks = dict(
        accelerate=dict(type='mmkd.AccelerateHook', compile=dict(backend='aot_eager')),
        ema=dict(type='EMAHook', momentum=0.1),
    )
    whole, _ = train(tmp_path / 'whole', epochs=3, **hooks)
    train(tmp_path / 'part', epochs=2, **hooks)
    resumed, _ = train(tmp_path / 'part', epochs=3, resume=True, **hooks)
    assert torch.equal(weights(resumed), weights(whole))
    _, plain = train(tmp_path / 'plain', epochs=3, ema=hooks['ema'])
    _, fast = train(tmp_path / 'fast', epochs=3, **hooks)
    assert fast.losses == pytest.approx(plain.losses, rel=0.02)
