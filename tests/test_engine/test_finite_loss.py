"""A loss that is not finite stops training: before a checkpoint, in all processes."""

import multiprocessing

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import METRICS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmkd.engine.finite_weights import FiniteWeights
from mmkd.engine.launch import build_runner
from mmkd.errors import NonFiniteLossError
from mmkd.models import Distiller
from mmkd.models.finite_check import FiniteCheck
from mmkd.models.losses.base import DistillLoss
from mmkd.models.pairings import Aligned
from mmkd.registry import DATASETS, HOOKS, MODELS
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
    with pytest.raises(NonFiniteLossError, match='^loss_kd is not finite'):
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


def on_device(value):
    return torch.tensor(value).as_subclass(OnDevice)


def test_on_a_device_it_is_read_at_intervals_and_names_the_first():
    check, inf = FiniteCheck(interval=3), float('inf')
    check.note(dict(loss_a=on_device(1.0), loss_b=on_device(inf)))
    check.note(dict(loss_a=on_device(inf), loss_b=on_device(inf)))
    with pytest.raises(NonFiniteLossError, match='^loss_b is not finite in one of'):
        check.note(dict(loss_a=on_device(inf), loss_b=on_device(1.0)))
    check.read()
    for value in (1.0, 1.0):
        check.note(dict(loss_a=on_device(value)))
    with pytest.raises(NonFiniteLossError, match='^loss_a is not finite; lower'):
        check.note(dict(loss_a=on_device(inf), loss_b=on_device(inf)))


@pytest.mark.parametrize(
    'losses, first',
    [
        (dict(acc=[], loss_rpn=[1.0, float('nan')], loss_kd=float('nan')), 'loss_rpn'),
        (dict(top1=float('nan'), loss_a=3e38, loss_b=3e38), 'the total loss'),
        (dict(loss_a=1.0, loss_none=[[]]), 'loss_none'),  # its mean is NaN
    ],
    ids=['of several levels', 'a sum that overflows', 'a mean of nothing'],
)
@pytest.mark.parametrize('kind', [torch.Tensor, OnDevice], ids=['cpu', 'device'])
def test_the_students_own_losses_and_the_total_count(losses, first, kind):
    def made(value):
        if isinstance(value, list):
            return [torch.tensor(item).as_subclass(kind) for item in value]
        return torch.tensor(value).as_subclass(kind)

    check = FiniteCheck()
    with pytest.raises(NonFiniteLossError, match=f'^{first} is not finite'):
        check.note({name: made(value) for name, value in losses.items()})
        check.read()


@pytest.mark.parametrize('kind', [torch.Tensor, OnDevice], ids=['cpu', 'device'])
@pytest.mark.parametrize(
    'student, teacher, cause',
    [
        (1.0, 1.0, ': both sides are finite; lower'),
        (float('inf'), 1.0, ': the student put out non-finite values; lower'),
        (1.0, float('nan'), ": the teacher put out .*; check the teacher's checkpoint"),
        (float('nan'), float('inf'), ': the student and the teacher put out'),
    ],
    ids=['neither', 'student', 'teacher', 'both'],
)
def test_it_says_whose_answers_are_not_finite(kind, student, teacher, cause):
    def sides(*values):
        tensors = [torch.tensor([1.0, value]).as_subclass(kind) for value in values]
        return Aligned(*([torch.ones(2), tensor] for tensor in tensors), [])

    check = FiniteCheck()
    fine = dict(loss_a=torch.tensor(1.0).as_subclass(kind))
    check.note(fine, dict(loss_a=sides(1.0, 1.0)))
    with pytest.raises(NonFiniteLossError, match=f'^loss_b is not finite.*{cause}'):
        check.note(
            dict(fine, loss_b=torch.tensor(float('nan')).as_subclass(kind)),
            dict(loss_a=sides(1.0, 1.0), loss_b=sides(student, teacher)),
        )
        check.note(fine, dict(loss_a=sides(float('nan'), float('nan'))))
        check.read()


def distiller(**term):
    entry = dict(dict(type='KDLoss', on='logits'), **term)
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    return Distiller(toy_classifier(), dict(loss_kd=entry), teacher, probe_size=32)


def spoil(module):
    next(module.parameters()).data.fill_(float('nan'))


@pytest.mark.parametrize(
    'term, spoilt, sentence',
    [
        (dict(), 'student', '^loss_student is not finite; lower'),
        (dict(weight=0), 'student', '^loss_student is not finite; lower'),
        (
            dict(),
            'teacher',
            '^loss_kd .*: the teacher put out .*; check the',
        ),
        (
            dict(weight=dict(value=0, shape='linear', end=9, end_value=1, unit='iter')),
            'teacher',
            '^loss_kd is not finite: the teacher put out',
        ),
        (
            dict(type='LumiNetLoss', weight=3e38),
            '',
            '^loss_kd is not finite: both sides are',
        ),
        (
            dict(type='CTKDLoss', weight=0),
            'distill',
            '^loss_kd is not finite; lower',
        ),
    ],
    ids=['student', 'no weight', 'teacher', 'weight 0 now', 'huge weight', 'over'],
)
def test_no_step_is_taken_with_a_part_that_is_not_finite(term, spoilt, sentence):
    model = distiller(**term)
    parts = dict(model.named_children(), teacher=model.teachers['teacher'].model)
    if spoilt:
        spoil(parts[spoilt])
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    before = model.student.backbone.layer1[0].conv1.weight.clone()
    with pytest.raises(NonFiniteLossError, match=sentence):
        model.train().train_step(classification_batch(), optim_wrapper)
    assert torch.equal(model.student.backbone.layer1[0].conv1.weight, before)


@HOOKS.register_module()
class BreakOnceHook(Hook):
    """Breaks something of the model once, after a step counted from 0."""

    priority = 'VERY_HIGH'

    def __init__(self, step, name):
        self.step = step
        self.name = name

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.step:
            runner.model.state_dict()[self.name].fill_(float('inf'))


class NaNGradient(torch.autograd.Function):
    """Passes a value, and no gradient that is a number."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float('nan')


@MODELS.register_module()
class BrokenGradientLoss(DistillLoss):
    """Finite, with a gradient that is not in one training step, counted from 0."""

    def __init__(self, step):
        super().__init__()
        self.left = step + 1

    def compare(self, student, teacher, target=None):
        self.left -= self.training
        broken = self.training and not self.left
        return NaNGradient.apply(student).mean() if broken else student.mean()


@OPTIM_WRAPPERS.register_module()
class SkippingWrapper(OptimWrapper):
    """Takes no step of a gradient that is not finite, as a GradScaler does."""

    def step(self, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group['params']]
        if all(g is None or g.isfinite().all() for g in gradients):
            super().step(**kwargs)


EACH_EPOCH = dict(type='CheckpointHook', interval=1)
EACH_ITER = dict(type='CheckpointHook', by_epoch=False, interval=2)


@pytest.mark.parametrize(
    'step, train_cfg, checkpoint, saved',
    [
        (3, BY_EPOCH, EACH_EPOCH, 0),
        (7, BY_EPOCH, EACH_EPOCH, 1),
        (1, BY_ITER, EACH_ITER, 0),
        (3, BY_ITER, EACH_ITER, 1),
    ],
    ids=['epoch', 'last epoch', 'iter', 'last iter'],
)
def test_a_gradient_that_is_not_finite_reaches_no_checkpoint(
    tmp_path, step, train_cfg, checkpoint, saved
):
    cfg = config(tmp_path, step, train_cfg, checkpoint)
    cfg.model.losses.loss_kd.type = 'BrokenGradientLoss'
    with pytest.raises(NonFiniteLossError, match='^student.*more of the model are'):
        build_runner(cfg).train()
    assert len(list(tmp_path.glob('**/*.pth'))) == saved


def test_a_step_that_a_scaler_skips_is_no_fault(tmp_path):
    cfg = config(tmp_path, 3, BY_EPOCH, EACH_EPOCH)
    cfg.model.losses.loss_kd.type = 'BrokenGradientLoss'
    cfg.optim_wrapper.type = 'SkippingWrapper'
    build_runner(cfg).train()
    assert (tmp_path / 'epoch_2.pth').exists()


@pytest.mark.parametrize(
    'name, hooks',
    [
        ('backbone.layer1.0.conv1.weight', []),
        ('backbone.bn1.running_var', []),
        ('backbone.bn1.running_var', [dict(type='EMAHook', update_buffers=True)]),
    ],
    ids=['weight', 'statistics', 'averaged'],
)
def test_a_stock_models_weights_are_looked_at(tmp_path, name, hooks):
    cfg = config(tmp_path, 3, BY_EPOCH, EACH_EPOCH)
    cfg.model = toy_classifier()
    cfg.custom_hooks = [dict(type='mmkd.BreakOnceHook', step=3, name=name), *hooks]
    with pytest.raises(NonFiniteLossError, match=f'^{name} of the model is not finite'):
        build_runner(cfg).train()
    assert not list(tmp_path.glob('**/*.pth'))


def test_averages_that_are_broken_alone_are_found(tmp_path):
    cfg = config(tmp_path, 0, BY_EPOCH, EACH_EPOCH)
    cfg.model = toy_classifier()
    cfg.custom_hooks = [dict(type='EMAHook')]
    runner = build_runner(cfg)

    def spoil_average(*args, **kwargs):
        spoil(next(h for h in runner.hooks if isinstance(h, EMAHook)).ema_model)

    hook = Hook()
    hook.before_train_epoch = spoil_average
    runner.register_hook(hook, priority='VERY_LOW')
    with pytest.raises(NonFiniteLossError, match='of the averaged model is not finite'):
        runner.train()


def test_what_was_not_finite_before_training_is_none_of_it(tmp_path):
    """Such as a mask of minus infinity that is saved."""
    cfg = config(tmp_path, 0, BY_EPOCH, EACH_EPOCH)
    cfg.model = toy_classifier()
    runner = build_runner(cfg)
    mask = torch.full((2, 2), -float('inf'))
    runner.model.register_buffer('mask', mask)
    runner.train()
    assert (tmp_path / 'epoch_2.pth').exists()


def test_any_hook_that_saves_is_stopped(tmp_path):
    cfg = config(tmp_path, 0, BY_EPOCH, None)
    cfg.model = toy_classifier()
    cfg.custom_hooks = [
        dict(type='mmkd.BreakOnceHook', step=1, name='backbone.conv1.weight')
    ]
    runner, saver = build_runner(cfg), Hook()
    saver.after_train_iter = lambda runner, *args, **kwargs: runner.save_checkpoint(
        str(tmp_path), f'{runner.iter}.pth'
    )
    runner.register_hook(saver, priority='VERY_LOW')
    with pytest.raises(NonFiniteLossError, match='^backbone.conv1.weight of the model'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['0.pth']


def weights_in_a_process(rank, store, answers):
    """Check weights of which one is broken, in the second process."""
    dist.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2)
    model = torch.nn.Linear(2, 2)
    weights = FiniteWeights({'the model': model})
    model.bias.data[rank:].fill_(float('nan') if rank else 1.0)
    try:
        weights.check()
        answers.put((rank, 'nothing'))
    except NonFiniteLossError as error:
        answers.put((rank, str(error)))
    dist.destroy_process_group()


def in_a_process(rank, store, kind, broken, answers):
    """Note losses in each of three steps; one is broken in one process."""
    dist.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2)
    check, fine = FiniteCheck(), Aligned([torch.ones(1)], [torch.ones(1)], [])
    step = None
    try:
        for step in range(3):
            losses = {}
            # The losses of a cascade that ends early are fewer.
            for name in ('loss_a', 'loss_b', 'loss_c')[: 3 - rank * step % 2]:
                here = (rank, step, name) == broken
                value = torch.tensor(float('nan') if here else 1.0)
                losses[name] = value.as_subclass(kind)
            check.note(losses, dict(loss_a=fine, loss_b=fine))
        check.read()
        answers.put((rank, 'nothing'))
    except NonFiniteLossError as error:
        answers.put((rank, f'{step}: {error}'))
    dist.destroy_process_group()


@pytest.mark.parametrize(
    'kind, step, cause',
    [
        (torch.Tensor, 1, ': both sides are finite;'),
        (OnDevice, 2, ' in one of the last steps: both sides are finite;'),
    ],
    ids=['cpu', 'device'],
)
def test_all_processes_stop_at_the_same_step(tmp_path, kind, step, cause):
    broken = 1, 1, 'loss_b'
    got = answers_of(in_a_process, tmp_path / 'store', kind, broken)
    assert got[0].startswith(f'{step}: loss_b is not finite in another process;')
    assert got[1].startswith(f'{step}: loss_b is not finite{cause}')


def test_weights_that_are_broken_in_one_process_stop_all(tmp_path):
    got = answers_of(weights_in_a_process, tmp_path / 'store')
    assert got[0].startswith('some weights in another process are not finite')
    assert got[1].startswith('bias of the model is not finite')


def answers_of(function, *args):
    """What two processes answer."""
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    processes = [
        context.Process(target=function, args=(rank, *args, answers))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    got = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    return got


@pytest.mark.parametrize('early', [True, False])
def test_what_no_checkpoint_keeps_may_be_infinite(early):
    model = torch.nn.Linear(2, 2)
    mask = torch.zeros(2)
    if early:
        model.register_buffer('mask', mask, persistent=False)
    weights = FiniteWeights(dict(model=model))
    model.register_buffer('mask', mask - float('inf'), persistent=False)
    weights.check()
    model.weight.data[0, 0] = float('inf')
    with pytest.raises(NonFiniteLossError, match='weight of model'):
        weights.check()
