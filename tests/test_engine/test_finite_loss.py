"""A loss that is not finite stops training: before a checkpoint, in all processes."""

import multiprocessing

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmkd.engine.launch import build_runner
from mmkd.errors import NonFiniteLossError
from mmkd.models.guards import FiniteCheck
from mmkd.models.losses.base import DistillLoss
from mmkd.models.pairings import Aligned
from mmkd.registry import DATASETS, MODELS
from mmkd.testing import classification_batch, toy_classifier


class OnDevice(torch.Tensor):
    """A tensor that says it is not on the CPU, and whose device is never left."""

    device = property(lambda self: torch.device('cuda'))

    def to(self, *args, **kwargs):
        return self


@MODELS.register_module()
class BrokenOnceLoss(DistillLoss):
    """Not finite in one training step, counted from 0, and without a gradient."""

    def __init__(self, step):
        super().__init__()
        self.left = step + 1

    def compare(self, student, teacher, target=None):
        self.left -= self.training
        broken = float('nan') if self.training and not self.left else 0.0
        return (student.sum() * 0 + broken).as_subclass(OnDevice)


@DATASETS.register_module()
class EightImages(Dataset):
    """Eight noise images with labels."""

    def __init__(self):
        self.batch = classification_batch(8)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {key: values[index] for key, values in self.batch.items()}


@METRICS.register_module()
class Constant(BaseMetric):
    """Any figure."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(figure=1.0)


def config(work_dir, step, train_cfg, checkpoint):
    """Four iterations an epoch; the loss is broken in one step."""
    data = dict(type='mmkd.EightImages')
    loader = dict(dataset=data, batch_size=2, sampler=dict(type='DefaultSampler'))
    return Config(
        dict(
            model=dict(
                type='mmkd.Distiller',
                student=toy_classifier(),
                teacher=dict(config=toy_classifier(), allow_untrained=True),
                losses=dict(
                    loss_kd=dict(type='BrokenOnceLoss', on='logits', step=step)
                ),
            ),
            work_dir=str(work_dir),
            train_dataloader=loader,
            val_dataloader=loader,
            val_evaluator=dict(type='Constant'),
            train_cfg=train_cfg,
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(checkpoint=checkpoint),
            default_scope='mmpretrain',
            experiment_name=work_dir.name,
        )
    )


def check_stops(runner, work_dir):
    with pytest.raises(NonFiniteLossError, match='^loss_kd is not finite in one of'):
        runner.train()
    assert not list(work_dir.glob('**/*.pth'))


BY_EPOCH = dict(by_epoch=True, max_epochs=2, val_begin=9)
BY_ITER = dict(by_epoch=False, max_iters=4, val_begin=9)


@pytest.mark.parametrize(
    'step, train_cfg, checkpoint',
    [
        (3, BY_EPOCH, dict(type='CheckpointHook')),
        (7, BY_EPOCH, dict(type='CheckpointHook', interval=9)),
        (1, BY_ITER, dict(type='CheckpointHook', by_epoch=False, interval=2)),
        (3, BY_ITER, dict(type='CheckpointHook', by_epoch=False, interval=9)),
        (
            0,
            dict(by_epoch=False, max_iters=4, val_interval=1),
            dict(type='CheckpointHook', by_epoch=False, interval=9, save_best='figure',
                 rule='greater'),
        ),
        (7, BY_EPOCH, None),
        (3, BY_ITER, None),
    ],
    ids=['epoch', 'last epoch', 'iter', 'last iter', 'best', 'end', 'end by iter'],
)  # fmt: skip
def test_it_is_read_before_each_checkpoint_and_at_the_end(
    tmp_path, monkeypatch, step, train_cfg, checkpoint
):
    # The process that saves reads too late for the others.
    monkeypatch.setattr(FiniteCheck, 'read_alone', lambda self: None)
    check_stops(build_runner(config(tmp_path, step, train_cfg, checkpoint)), tmp_path)


def test_a_stock_tool_saves_no_broken_state_either(tmp_path):
    checkpoint = dict(type='CheckpointHook')
    check_stops(Runner.from_cfg(config(tmp_path, 3, BY_EPOCH, checkpoint)), tmp_path)


def test_on_a_device_it_is_read_at_intervals():
    check, fine = FiniteCheck(interval=3), Aligned([torch.ones(1)], [], [])
    values = [torch.tensor(v).as_subclass(OnDevice) for v in (1.0, float('inf'))]
    for index in (0, 0, 0, 1, 0):
        check.note('loss_a', values[index], fine)
    with pytest.raises(NonFiniteLossError, match='^loss_a is not finite in one of'):
        check.note('loss_b', values[0], fine)
    check.read()
    for index in (0, 0):
        check.note('loss_a', values[index], fine)
    with pytest.raises(NonFiniteLossError, match='^loss_b .*: both sides are finite'):
        check.note('loss_b', values[1], fine)


def in_a_process(rank, store, kind, broken, answers):
    """Note two losses in each of three steps; one is broken in one process."""
    dist.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2)
    check, fine = FiniteCheck(), Aligned([torch.ones(1)], [torch.ones(1)], [])
    step = None
    try:
        for step in range(3):
            for name in ('loss_a', 'loss_b'):
                here = (rank, step, name) == broken
                value = torch.tensor(float('nan') if here else 1.0)
                check.note(name, value.as_subclass(kind), fine)
        check.read()
        answers.put((rank, 'nothing'))
    except NonFiniteLossError as error:
        answers.put((rank, f'{step}: {error}'))
    dist.destroy_process_group()


@pytest.mark.parametrize(
    'kind, step, cause',
    [
        (torch.Tensor, 1, ': both sides are finite;'),
        (OnDevice, 2, ' in one of the last steps;'),
    ],
    ids=['cpu', 'device'],
)
def test_all_processes_stop_at_the_same_step(tmp_path, kind, step, cause):
    context = multiprocessing.get_context('fork')
    answers, broken = context.Queue(), (1, 1, 'loss_b')
    processes = [
        context.Process(
            target=in_a_process, args=(rank, tmp_path / 'store', kind, broken, answers)
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    got = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    assert got[0].startswith(f'{step}: loss_b is not finite in another process;')
    assert got[1].startswith(f'{step}: loss_b is not finite{cause}')
