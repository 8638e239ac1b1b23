"""The parts of resuming by themselves: texts, differences, optimizers, files."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmkd.engine.resume import alone, newest_checkpoint
from mmkd.engine.resume.carry import carry_over
from mmkd.engine.resume.config_text import read_literals
from mmkd.engine.resume.differences import differences
from mmkd.engine.resume.newest import remove_superseded
from mmkd.errors import CheckpointError

ODD = dict(
    model=dict(type='A', sizes=(1, -2.5), names=['a "b"', "c'd"], none=None, yes=True),
    optim_wrapper=dict(paramwise_cfg=dict(custom_keys={'.bias': dict(lr_mult=2.0)})),
    train_cfg={1: 'one', 'two words': [dict(a=()), [[1e-8]]]},
    large=float('inf'),
    small=-float('inf'),
    words='several\nlines ' * 9,
)


def as_lists(value):
    if isinstance(value, dict):
        return {key: as_lists(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_lists(each) for each in value]
    return str(value) if value in (ODD['large'], ODD['small']) else value


def test_what_a_runner_writes_of_a_config_is_read():
    assert read_literals(Config(ODD).pretty_text) == as_lists(ODD)


@pytest.mark.parametrize(
    'text',
    [
        "a = __import__('os').system('touch x')",
        'import os',
        'a = [x for x in (1, 2)]',
        'a = dict(**b)',
        'a = (lambda: 1)()',
        "a = f'{1}'",
        'a.b = 1',
        'a, b = 1, 2',
        'a = b = 1',
        'a = {**{}}',
        'a = {[]: 1}',
        'a = dict(1)',
        'a = -"text"',
        'a = <object>',
        'a = ' + '(' * 5000,
        'a = ' + '-' * 50000 + '1',
        'a = ' + '[' * 90 + ']' * 90 + '.x' * 3000,
        'a = "\0"',
        'a' * 3_000_000,
        None,
        b'a = 1',
    ],
)
def test_anything_else_is_not(text):
    with pytest.raises(ValueError):
        read_literals(text)


def changed(then, now, **meta):
    texts = [Config(config).pretty_text for config in (then, now)]
    return [str(each) for each in differences(dict(meta, cfg=texts[0]), texts[1])]


@pytest.mark.parametrize(
    'then, now',
    [
        (ODD, ODD),
        (dict(model=dict(a=(1, 2), b=[])), dict(model=dict(b=None, a=[1, 2.0]))),
        (dict(train_cfg=dict(by_epoch=True, max_epochs=2)),)
        + (dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2)),),
        (dict(param_scheduler=dict(type='A')), dict(param_scheduler=[dict(type='A')])),
        (dict(param_scheduler=None), dict(param_scheduler=[])),
        (dict(auto_scale_lr=dict(enable=False, base_batch_size=8)), {}),
        (dict(work_dir='a/b'), dict(work_dir='/somewhere/a/b/')),
        (dict(work_dir='/somewhere/a/b'), dict(work_dir='./a/b')),
        (dict(model=dict(type='mmdet.FRCNN')), dict(model=dict(type='FRCNN'))),
        (dict(model=dict(type='mmdet.models.det.FRCNN')),)
        + (dict(model=dict(type='mmdet.FRCNN')),),
        (dict(resume=False, load_from=None, x=1), dict(resume=True, load_from='a')),
        (dict(randomness=dict(seed=None)), {}),
    ],
)
def test_spellings_of_one_config(then, now):
    assert changed(then, now, seed=5) == []


@pytest.mark.parametrize(
    'then, now, what',
    [
        (dict(model=dict(a=[1, 2])), dict(model=dict(a=[1, 3])), 'model.a.1 was 2'),
        (dict(model=dict(a=[1])), dict(model=dict(a=[1, 3])), r'was [1] and is [1, 3]'),
        (dict(model=dict(a=0)), {}, 'model was {'),
        (dict(model=dict(a=0)), dict(model=dict(a=None)), 'was 0 and is not there'),
        (dict(work_dir='a/b'), dict(work_dir='/c/b'), "was 'a/b'"),
        (dict(model=dict(type='mmdet.A')), dict(model=dict(type='mmpretrain.A')), 'A'),
        ({}, dict(randomness=dict(seed=6)), 'seed was 5 and is 6'),
        (
            dict(
                auto_scale_lr=dict(enable=True, base_batch_size=8),
                train_dataloader=dict(batch_size=4),
            ),
            dict(
                auto_scale_lr=dict(enable=True, base_batch_size=8),
                train_dataloader=dict(batch_size=2),
            ),
            'auto_scale_lr.batch was 4',
        ),
    ],
)
def test_what_differs(then, now, what):
    assert any(what in each for each in changed(then, now, seed=5))


@pytest.mark.parametrize('kind', ['SGD', 'Adam'])
@pytest.mark.parametrize('paramwise', [None, dict(norm_decay_mult=0.0)])
def test_an_optimizers_state_by_parameter(kind, paramwise):
    """Numbers go to others; what is new comes first, in between and last."""
    options = dict(momentum=0.9) if kind == 'SGD' else {}
    settings = dict(optimizer=dict(type=kind, lr=0.1, weight_decay=0.01, **options))
    settings.update(type='OptimWrapper', paramwise_cfg=paramwise)

    def build(*names):
        model = nn.Module()
        model.student = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        model.distill = nn.ModuleDict({name: nn.Linear(2, 3) for name in names})
        wrapper = build_optim_wrapper(model, copy.deepcopy(settings))
        cfg = ConfigDict(optim_wrapper=settings)
        return SimpleNamespace(model=model, optim_wrapper=wrapper, cfg=cfg)

    def state(runner):
        optimizer = runner.optim_wrapper.optimizer
        names = {id(p): name for name, p in runner.model.named_parameters()}
        return {names[id(p)]: held for p, held in optimizer.state.items()}

    old, new = build('b', 'd'), build('a', 'd', 'c', 'b', 'e')
    for number, parameter in enumerate(old.model.parameters()):
        parameter.grad = torch.full_like(parameter, number + 1.0)
    old.optim_wrapper.optimizer.step()
    old.optim_wrapper.optimizer.param_groups[0]['lr'] = 0.05
    saved = dict(optimizer=old.optim_wrapper.state_dict())
    carry_over(new, saved, ['b', 'd'])
    new.optim_wrapper.load_state_dict(saved['optimizer'])
    then, now = state(old), state(new)
    assert then.keys() == now.keys() and len(then) == 8
    for name, held in then.items():
        for key in held:
            assert torch.equal(
                torch.as_tensor(held[key]), torch.as_tensor(now[name][key])
            )
    groups = new.optim_wrapper.optimizer.param_groups
    assert groups[0]['lr'] == 0.05
    assert list(new.model.distill) == ['a', 'd', 'c', 'b', 'e']
    with pytest.raises(CheckpointError, match="optimizer's state of"):
        carry_over(new, saved, ['b'])


@pytest.mark.parametrize('saved', [False, True])
def test_an_interrupt_that_became_another_error(tmp_path, saved):
    """As in the midst of formatting a config, which MMEngine does for a checkpoint."""
    if saved:
        save(tmp_path / 'epoch_9.pth', 9, 90)
    with pytest.raises(KeyboardInterrupt, match='epoch_9' if saved else 'nothing is'):
        with alone(Config(dict(work_dir=str(tmp_path)))):
            try:
                raise KeyboardInterrupt
            except BaseException:
                raise SyntaxError from None
    with pytest.raises(SyntaxError), alone(Config(dict(work_dir=str(tmp_path)))):
        raise SyntaxError


def save(path, epoch, iteration):
    meta = dict(epoch=epoch, iter=iteration)
    state = dict(meta=meta, state_dict=dict(w=torch.ones(1)), optimizer=dict(state={}))
    torch.save(dict(state, message_hub=dict(a={})), path)


def test_of_epochs_and_iterations_the_furthest_counts(tmp_path):
    assert newest_checkpoint(tmp_path / 'none') is None
    save(tmp_path / 'epoch_9.pth', 9, 90)
    save(tmp_path / 'epoch_10.pth', 10, 100)
    assert newest_checkpoint(tmp_path).name == 'epoch_10.pth'
    save(tmp_path / 'iter_105.pth', 10, 105)
    assert newest_checkpoint(tmp_path).name == 'iter_105.pth'
    assert newest_checkpoint(tmp_path, until=9).name == 'epoch_9.pth'
    save(tmp_path / 'best_top1_epoch_11.pth', 11, 110)
    save(tmp_path / 'epoch_11-abcdef.pth', 11, 110)
    assert newest_checkpoint(tmp_path).name == 'iter_105.pth'


def test_names_with_a_folder_in_them(tmp_path):
    (tmp_path / 'run').mkdir()
    save(tmp_path / 'run/ck_2.pth', 2, 20)
    hook = dict(type='CheckpointHook', filename_tmpl='run/ck_{}.pth')
    assert newest_checkpoint(tmp_path, [hook]) == tmp_path / 'run/ck_2.pth'


def test_what_a_hook_does_not_save_is_told_before(tmp_path, monkeypatch):
    told = []

    def tell(text, **kwargs):
        told.append(text)

    monkeypatch.setattr('mmkd.engine.resume.training.print_log', tell)
    for value in (True, False):
        hooks = dict(checkpoint=dict(type='CheckpointHook', save_optimizer=value))
        with alone(Config(dict(work_dir=str(tmp_path), default_hooks=hooks))):
            assert bool(told) is not value
    assert 'save_optimizer=False: no training can go on' in told[0]


def test_older_checkpoints_that_were_to_be_removed(tmp_path):
    names = ['epoch_2.pth', 'epoch_4.pth', 'best_epoch_1.pth', '../epoch_1.pth']
    folder = tmp_path / 'work'
    folder.mkdir()
    for name in [*names, 'epoch_1.pth']:
        (folder / name).touch()
    remove_superseded(folder, 'epoch_{}.pth', [*names, 'epoch_0.pth'], 3)
    assert not (folder / 'epoch_2.pth').exists()
    kept = [*names[1:], 'epoch_1.pth']
    assert all((folder / name).exists() for name in kept)
