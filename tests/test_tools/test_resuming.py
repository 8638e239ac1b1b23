"""Going on with a training that stopped, as a user does it."""

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmkd.locks import locked
from mmkd.testing import toy_classifier

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
default_scope = 'mmpretrain'
model = {model}
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root={root!r},
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=3)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9))
param_scheduler = [dict(type='MultiStepLR', milestones=[2])]
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1),
)
"""
#: A loop by iterations, and what changes a config in place or scales what it says.
BY_ITERATIONS = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=9)
default_hooks['checkpoint'].update(by_epoch=False, max_keep_ckpts=1)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False)
optim_wrapper['optimizer']['weight_decay'] = 1e-4
optim_wrapper['clip_grad'] = dict(max_norm=35)
optim_wrapper['paramwise_cfg'] = dict(norm_decay_mult=0.0, bias_lr_mult=2.0)
"""
AVERAGED = """
param_scheduler = (
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    *param_scheduler,
)
custom_hooks = [dict(type='EMAHook', momentum=0.1, priority='ABOVE_NORMAL')]
auto_scale_lr = dict(base_batch_size=8)
"""
FIT = dict(type='FitNetLoss', on='backbone.layer2')
OTHER = dict(type='FitNetLoss', on='backbone.layer3')


class Resumed(Exception):
    """In place of resuming: the checkpoint."""


def write_config(path, model, more=''):
    root = str(path.parent / 'images')
    path.write_text(CONFIG.format(model=model, root=root) + more)
    return path


def distiller(**losses):
    """The teacher is wider, so that these losses have something to learn."""
    teacher = dict(config=toy_classifier(2, 16).to_dict(), allow_untrained=True)
    student = toy_classifier(2).to_dict()
    return dict(type='mmkd.Distiller', student=student, teacher=teacher, losses=losses)


def call(monkeypatch, name, *arguments):
    """Run a tool in this process; return what it ends with, None if all is well."""
    arguments = [f'{name}.py', *map(str, arguments)]
    monkeypatch.setattr(sys, 'argv', arguments)
    monkeypatch.setenv('LOCAL_RANK', '0')
    MMLogger._instance_dict.clear()  # a new one prints to where it is captured now
    try:
        runpy.run_path(str(ROOT / f'tools/{name}.py'), run_name='__main__')
    except SystemExit as stopped:
        return stopped.code


def iterations(folder):
    """The iterations in all logs of a work dir."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    texts = ''.join(log.read_text() for log in logs)
    return [int(number) for number in re.findall('"step": (\\d+)', texts)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Write eight images of two classes."""
    folder = tmp_path_factory.mktemp('resuming')
    rng = np.random.default_rng(0)
    for number in range(8):
        path = folder / f'images/{number % 2}/{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(256, size=(32, 32, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope='module')
def trained(folder):
    """Train two epochs; return the config and the work dir."""
    config = write_config(folder / 'config.py', toy_classifier(2).to_dict())
    options = ['--cfg-options', 'train_cfg.max_epochs=2']
    with pytest.MonkeyPatch.context() as patch:
        call(patch, 'train', config, '--work-dir', folder / 'trained', *options)
    return config, folder / 'trained'


@pytest.fixture
def resume(trained, tmp_path, monkeypatch, capsys):
    """Go on in a copy, up to where the checkpoint is loaded; return what is said."""
    config, folder = trained
    work_dir = tmp_path / 'copy'
    shutil.copytree(folder, work_dir)

    def refuse(self, path, *args, **kwargs):
        raise Resumed(path)

    def resume(*arguments, flag=('--resume',)):
        monkeypatch.setattr(Runner, 'resume', refuse)
        options = ['train_cfg.max_epochs=2', *arguments]
        settings = ['--work-dir', work_dir, *flag, '--cfg-options', *options]
        try:
            code = call(monkeypatch, 'train', config, *settings)
        except Resumed as resumed:
            code = Path(str(resumed))
        return code, capsys.readouterr().out

    resume.work_dir = work_dir
    return resume


@pytest.mark.parametrize('state', ['torn', 'empty', 'gone', 'deleted', 'elsewhere'])
def test_last_checkpoint_does_not_matter(resume, state, trained):
    """It names a file of another folder, one that is not there, nothing or no file."""
    path = resume.work_dir / 'last_checkpoint'
    path.unlink()
    if state != 'gone':
        texts = dict(torn='/', empty='', deleted='epoch_9.pth')
        path.write_text(texts.get(state, str(trained[1] / 'epoch_2.pth')))
    resumed, _ = resume()
    assert resumed == resume.work_dir / 'epoch_2.pth'


def damage(path, how):
    data = path.read_bytes()
    if how == 'truncated':
        path.write_bytes(data[: len(data) // 2])
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'flipped':  # in a weight, which torch itself would load
        data = bytearray(data)
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    else:
        state = torch.load(path, weights_only=False)
        torch.save({k: v for k, v in state.items() if k != 'optimizer'}, path)


@pytest.mark.parametrize('how', ['truncated', 'empty', 'flipped', 'no optimizer'])
def test_a_broken_checkpoint_is_passed_over_in_one_line(resume, how):
    damage(resume.work_dir / 'epoch_2.pth', how)
    resumed, printed = resume()
    assert resumed == resume.work_dir / 'epoch_1.pth'
    (line,) = [line for line in printed.splitlines() if 'Going on from' in line]
    assert 'epoch_1.pth, since' in line and 'epoch_2.pth' in line.split('since')[1]


def test_no_whole_checkpoint_is_no_start_at_the_beginning(resume):
    for path in resume.work_dir.glob('*.pth'):
        path.write_bytes(path.read_bytes()[:-9])
    error, _ = resume()
    assert error.startswith('error: none of the 2 checkpoints')
    assert '--resume PATH' in error


def test_no_checkpoint_at_all_starts_at_the_beginning_and_says_so(resume, monkeypatch):
    """With the weights that the config wants."""
    (resume.work_dir / 'epoch_2.pth').unlink()
    (resume.work_dir / 'epoch_1.pth').rename(resume.work_dir / 'epoch_1.pth.part')
    wanted = []
    load = staticmethod(wanted.append)
    monkeypatch.setattr(Runner, 'load_checkpoint', load)
    code, printed = resume('load_from=some.pth')
    assert code is None and wanted == ['some.pth']
    assert 'no checkpoint, so the training starts at the beginning' in printed
    assert iterations(resume.work_dir)[-1] == 4


def test_what_was_best_is_named_where_nothing_else_is_there(resume):
    best = resume.work_dir / 'best_top1_epoch_2.pth'
    (resume.work_dir / 'epoch_2.pth').rename(best)
    (resume.work_dir / 'epoch_1.pth').unlink()
    error, _ = resume()
    assert f'go on from that with --resume {best}' in error


def test_what_is_no_file_is_passed_over(resume):
    os.mkfifo(resume.work_dir / 'epoch_3.pth')  # reading it would wait for ever
    resumed, printed = resume()
    assert resumed == resume.work_dir / 'epoch_2.pth'
    assert 'epoch_3.pth is no file' in printed


def test_numbers_count_not_dates(resume):
    os.utime(resume.work_dir / 'epoch_1.pth')
    shutil.copy(resume.work_dir / 'epoch_1.pth', resume.work_dir / 'epoch_9.pth')
    resumed, printed = resume()
    assert resumed == resume.work_dir / 'epoch_2.pth'
    assert 'epoch_9.pth is of epoch 1' in printed


def test_names_and_folders_of_the_checkpoint_hook(resume, tmp_path):
    out = tmp_path / 'out'
    (out / 'copy').mkdir(parents=True)
    (resume.work_dir / 'epoch_2.pth').rename(out / 'copy/at-0002.pth')
    hook = 'default_hooks.checkpoint'
    options = [f'{hook}.out_dir={out}', f'{hook}.filename_tmpl=at-{{:04d}}.pth']
    assert resume(*options)[0] == out / 'copy/at-0002.pth'


@pytest.mark.parametrize('content', ['weights', 'exported', 'list'])
def test_what_cannot_be_resumed_from(resume, tmp_path, content):
    state = torch.load(resume.work_dir / 'epoch_2.pth', weights_only=False)
    held = dict(
        weights=state['state_dict'],
        exported=dict(state_dict=state['state_dict'], meta=dict(mmkd='1')),
        list=[1],
    )
    torch.save(held[content], tmp_path / 'file.pth')
    error, _ = resume(flag=('--resume', tmp_path / 'file.pth'))
    assert re.match(
        'error: .*file.pth cannot be resumed from: .*optimizer.*epoch', error
    )


@pytest.mark.parametrize(
    'options, refused',
    [
        (['optim_wrapper.optimizer.lr=0.5'], 'lr was 0.02 and is 0.5'),
        (['optim_wrapper.optimizer.type=Adam'], "was 'SGD' and is 'Adam', whose state"),
        (['optim_wrapper.optimizer.weight_decay=0.1'], 'was not there and is 0.1'),
        (['optim_wrapper.paramwise_cfg.norm_decay_mult=0.0'], 'paramwise_cfg was not'),
        (['param_scheduler.0.milestones=[1]'], 'milestones.0 was 2 and is 1'),
        (
            ['auto_scale_lr.enable=True', 'auto_scale_lr.base_batch_size=2'],
            'auto_scale',
        ),
        (['train_cfg.by_epoch=False', 'train_cfg.max_iters=9'], 'counts otherwise'),
        (['randomness.seed=1'], 'seed was 0 and is 1'),
    ],
)
def test_what_going_on_would_ignore_is_refused(resume, options, refused):
    error, _ = resume(*options)
    assert error.startswith('error: ') and refused in error, error
    assert 'set it back' in error and '\n' not in error
    assert len(list(resume.work_dir.glob('*/'))) == 1, 'nothing was begun'


@pytest.mark.parametrize(
    'options, line',
    [
        (
            ['train_cfg.max_epochs=5'],
            'epochs was 2 and is 5; .*what is scheduled stays',
        ),
        (['train_dataloader.batch_size=2'], 'dataloader.batch_size was 4 and is 2'),
        (['model.head.loss.loss_weight=2.0'], 'loss_weight was 1.0 and is 2.0'),
        (['optim_wrapper.accumulative_counts=2'], 'was not there and is 2'),
        (['default_hooks.logger.interval=7'], 'interval was 1 and is 7'),
        (['test_cfg=None'], 'changed: work_dir was [^;]*.$'),
    ],
)
def test_what_takes_effect_goes_on_with_a_line(resume, options, line):
    resumed, printed = resume(*options)
    assert resumed == resume.work_dir / 'epoch_2.pth'
    (said,) = [each for each in printed.splitlines() if 'has changed: ' in each]
    assert re.search(line, said)


def test_a_config_in_a_checkpoint_is_not_executed(resume, tmp_path):
    path = resume.work_dir / 'epoch_2.pth'
    state = torch.load(path, weights_only=False)
    state['meta']['cfg'] = (
        f'import pathlib\npathlib.Path({str(tmp_path / "x")!r}).touch()'
    )
    torch.save(state, path)
    resumed, printed = resume()
    assert resumed == path and 'is not compared' in printed
    assert not (tmp_path / 'x').exists()


def test_a_second_training_in_a_work_dir_is_refused(resume, monkeypatch):
    monkeypatch.setattr('mmkd.engine.resume.training.PATIENCE', 0)
    before = sorted(resume.work_dir.rglob('*'))
    with locked(resume.work_dir):
        before = sorted(resume.work_dir.rglob('*'))
        error, _ = resume(flag=())
        assert sorted(resume.work_dir.rglob('*')) == before
    assert re.match('error: .*copy is in use by another run', error)
    assert resume(flag=())[0] is None, 'it was given back'


KINDS = dict(
    epochs=(toy_classifier(2).to_dict(), AVERAGED, ['--auto-scale-lr'], 'epoch_2', 6),
    iterations=(distiller(loss_fit=FIT), BY_ITERATIONS, [], 'iter_2', 3),
)


@pytest.mark.parametrize('kind', KINDS)
def test_the_same_config_goes_on_without_a_word(
    folder, tmp_path, monkeypatch, capsys, kind
):
    """After Ctrl-C; by its file, and by what the Runner writes of it."""
    model, more, flags, saved, interrupted = KINDS[kind]
    config = write_config(folder / f'{kind}.py', model, more)
    arguments = [config, '--work-dir', os.path.relpath(tmp_path / 'run'), *flags]
    loop = EpochBasedTrainLoop if kind == 'epochs' else IterBasedTrainLoop
    step, steps = loop.run_iter, []

    def interrupt(self, *args):
        steps.append(1)
        if len(steps) == interrupted:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(loop, 'run_iter', interrupt)
        with pytest.raises((KeyboardInterrupt, SystemExit)) as stopped:
            code = call(monkeypatch, 'train', *arguments)
            raise SystemExit(code)
    text = str(stopped.value)
    if isinstance(stopped.value, KeyboardInterrupt):
        assert f'{saved}.pth is saved' in text and '--resume goes on' in text
    capsys.readouterr()
    for path in (config, tmp_path / f'run/{kind}.py'):
        shutil.copytree(tmp_path / 'run', tmp_path / 'kept')
        arguments[0] = path
        assert call(monkeypatch, 'train', *arguments, '--resume') is None
        printed = capsys.readouterr().out
        assert f'{saved}.pth' in printed and 'changed' not in printed
        assert 'compared' not in printed
        assert (tmp_path / f'run/{saved.replace("2", "3")}.pth').exists()
        shutil.rmtree(tmp_path / 'run')
        (tmp_path / 'kept').rename(tmp_path / 'run')


class TestLosses:
    """A loss with something to learn comes, goes, or changes places."""

    @pytest.fixture(scope='class')
    def trained(self, folder):
        more = BY_ITERATIONS.replace('max_iters=3', 'max_iters=2')
        more += "custom_hooks = [dict(type='EMAHook')]\n"

        def write(name, **losses):
            return write_config(folder / f'{name}.py', distiller(**losses), more)

        config = write('first', loss_b=FIT, loss_c=OTHER)
        with pytest.MonkeyPatch.context() as patch:
            arguments = ['--work-dir', folder / 'first', '--cfg-options']
            assert call(patch, 'train', config, *arguments, 'log_level=ERROR') is None
        return write, folder / 'first'

    @pytest.fixture
    def go_on(self, trained, tmp_path, monkeypatch):
        """Go on with other losses and no further step; return what the Runner has."""
        write, folder = trained
        shutil.copytree(folder, tmp_path / 'run')

        def go_on(*flags, **losses):
            seen = {}

            def no_step(self):
                seen['runner'] = self.runner

            monkeypatch.setattr(IterBasedTrainLoop, 'run', no_step)
            config = write('second', **losses)
            arguments = ['--work-dir', tmp_path / 'run', '--resume', *flags]
            return call(monkeypatch, 'train', config, *arguments), seen.get('runner')

        return go_on

    @staticmethod
    def states(runner):
        """The momentum of each parameter, and its settings, by name."""
        names = {id(p): name for name, p in runner.model.named_parameters()}
        optimizer = runner.optim_wrapper.optimizer
        return {
            names[id(p)]: (
                optimizer.state[p].get('momentum_buffer'),
                {k: v for k, v in group.items() if k != 'params'},
            )
            for group in optimizer.param_groups
            for p in group['params']
        }

    def test_it_begins_afresh_and_nothing_else_changes(self, go_on):
        _, before = go_on(loss_b=FIT, loss_c=OTHER)
        code, after = go_on('--allow-new-losses', loss_a=FIT, loss_b=FIT, loss_c=OTHER)
        assert code is None
        old, new = self.states(before), self.states(after)
        added = {name for name in new if name.startswith('distill.loss_a')}
        assert added and new.keys() - old.keys() == added
        for name, (momentum, settings) in old.items():
            assert torch.equal(new[name][0], momentum), name
            assert new[name][1] == settings
        for name in added:
            momentum, settings = new[name]
            assert momentum is None
            # Scheduled as far as its like.
            assert settings == old[name.replace('loss_a', 'loss_b')][1]
        weights, others = before.model.state_dict(), after.model.state_dict()
        assert all(torch.equal(others[key], weights[key]) for key in weights)
        (ema,) = (hook for hook in after.hooks if hasattr(hook, 'ema_model'))
        averaged = ema.ema_model.module.state_dict()
        for key in others.keys() - weights.keys():
            assert torch.equal(averaged[key], others[key])
        names, others = list(old), list(new)
        for schedule, other in zip(before.param_schedulers, after.param_schedulers):
            for key in ('base_values', '_last_value'):
                then, now = getattr(schedule, key), getattr(other, key)
                assert len(now) == len(then) + len(added)
                then, now = dict(zip(names, then)), dict(zip(others, now))
                assert {name: now[name] for name in names} == then
                for name in added:
                    assert now[name] == then[name.replace('loss_a', 'loss_b')]

    def test_the_order_of_losses_does_not_matter(self, go_on):
        _, before = go_on(loss_b=FIT, loss_c=OTHER)
        code, after = go_on(loss_c=OTHER, loss_b=FIT)
        assert code is None
        old, new = self.states(before), self.states(after)
        assert all(torch.equal(old[name][0], new[name][0]) for name in old)
        assert list(old) != list(new)

    def test_others_are_refused(self, go_on):
        error, _ = go_on(loss_a=FIT, loss_b=FIT, loss_c=OTHER)
        assert 'trained without loss_a' in error and '--allow-new-losses' in error
        error, _ = go_on(loss_b=FIT)
        assert 'what loss_c has learned' in error and 'put it back' in error
        error, _ = go_on('--allow-new-losses', loss_b=OTHER, loss_c=OTHER)
        assert 'distill.loss_b' in error and 'loss_b.on was' in error

    def test_one_without_parameters_comes_and_goes(self, go_on, capsys):
        kd = dict(type='KDLoss', on='logits')
        code, _ = go_on(loss_b=FIT, loss_c=OTHER, loss_kd=kd)
        assert (
            code is None and 'losses.loss_kd was not there' in capsys.readouterr().out
        )


def test_the_flag_for_new_losses_goes_with_resume(trained, monkeypatch):
    error = call(monkeypatch, 'train', trained[0], '--allow-new-losses')
    assert error.startswith('error: --allow-new-losses goes with --resume')


@pytest.mark.parametrize(
    'change, refused',
    [
        ('model.backbone.depth=34', 'backbone.depth was 18 and is 34'),
        ('model.head.num_classes=3', 'num_classes was 2 and is 3'),
    ],
)
def test_a_model_that_does_not_fit(trained, tmp_path, monkeypatch, change, refused):
    config, folder = trained
    shutil.copytree(folder, tmp_path / 'copy')
    arguments = ['--work-dir', tmp_path / 'copy', '--resume', '--cfg-options', change]
    error = call(monkeypatch, 'train', config, *arguments)
    assert error.startswith('error: ') and 'does not fit the model' in error
    assert refused in error


def test_other_classes_of_the_same_number(trained, tmp_path, monkeypatch):
    config, folder = trained
    shutil.copytree(folder, tmp_path / 'copy')
    names = tmp_path / 'classes.txt'
    names.write_text('1\n0\n')
    arguments = ['--work-dir', tmp_path / 'copy', '--resume', '--cfg-options']
    classes = f'train_dataloader.dataset.classes={names}'
    error = call(monkeypatch, 'train', config, *arguments, classes)
    assert "class 0 was '0' and is '1'" in error


@pytest.mark.parametrize(
    'change, refused',
    [
        (dict(param_schedulers=[]), 'does not hold the state of the schedules'),
        (dict(param_schedulers=[{}]), 'does not hold the state of the schedules'),
        (dict(meta=dict(epoch=9, iter=99)), 'is of epoch 9, beyond the end'),
    ],
)
def test_a_place_that_the_training_does_not_have(
    trained, tmp_path, monkeypatch, change, refused
):
    config, folder = trained
    state = torch.load(folder / 'epoch_1.pth', weights_only=False)
    for key, value in change.items():
        state[key] = {**state[key], **value} if isinstance(value, dict) else value
    torch.save(state, tmp_path / 'odd.pth')
    options = ['train_cfg.max_epochs=2', 'log_level=ERROR']
    arguments = ['--work-dir', tmp_path / 'odd', '--resume', tmp_path / 'odd.pth']
    error = call(monkeypatch, 'train', config, *arguments, '--cfg-options', *options)
    assert refused in error


def test_averaged_weights_need_their_hook(folder, tmp_path, monkeypatch):
    config = write_config(folder / 'ema.py', toy_classifier(2).to_dict(), AVERAGED)
    arguments = [config, '--work-dir', tmp_path / 'run', '--cfg-options']
    assert call(monkeypatch, 'train', *arguments, 'train_cfg.max_epochs=1') is None
    arguments[3:] = ['--resume', '--cfg-options', 'custom_hooks=None']
    assert 'put the EMAHook back' in call(monkeypatch, 'train', *arguments)


def test_the_best_checkpoint_of_a_copy_is_its_own(trained, tmp_path, monkeypatch):
    """A better one replaces it, and not the one in the folder that was copied."""
    config, folder = trained
    best = folder / 'best_top1_epoch_1.pth'
    shutil.copy(folder / 'epoch_1.pth', best)
    shutil.copytree(folder, tmp_path / 'copy')
    path = tmp_path / 'copy/epoch_2.pth'
    state = torch.load(path, weights_only=False)
    state['message_hub']['runtime_info']['best_ckpt'] = str(best)
    torch.save(state, path)
    seen = []
    monkeypatch.setattr(
        EpochBasedTrainLoop,
        'run',
        lambda self: seen.append(self.runner.message_hub.get_info('best_ckpt')),
    )
    arguments = [config, '--work-dir', tmp_path / 'copy', '--resume']
    assert call(monkeypatch, 'train', *arguments) is None
    assert seen == [str(tmp_path / 'copy' / best.name)]


class TestLoadFrom:
    """Weights that fill a model, or do not."""

    @pytest.fixture
    def load(self, trained, tmp_path, monkeypatch, capsys):
        """Have a tool load some state; return what it ends with and the model."""
        config, folder = trained
        state = torch.load(folder / 'epoch_2.pth', weights_only=False)['state_dict']

        def load(change, *options, model=None, more=''):
            torch.save(change(dict(state)), tmp_path / 'from.pth')
            path = write_config(
                tmp_path / 'config.py', model or toy_classifier(2).to_dict(), more
            )
            loaded = {}

            def keep(self):
                loaded.update(self.runner.model.state_dict())

            monkeypatch.setattr(EpochBasedTrainLoop, 'run', keep)
            monkeypatch.chdir(folder.parent)
            options = [
                f'load_from={tmp_path / "from.pth"}',
                f'train_dataloader.dataset.data_root={folder.parent / "images"}',
                *options,
            ]
            arguments = [path, '--work-dir', tmp_path / 'run', '--cfg-options']
            return call(monkeypatch, 'train', *arguments, *options), loaded

        load.state = state
        return load

    def test_all_of_it(self, load, capsys):
        code, loaded = load(lambda state: dict(state_dict=state))
        assert code is None
        assert all(torch.equal(loaded[key], load.state[key]) for key in load.state)

    @pytest.mark.parametrize(
        'change',
        [
            lambda state: {f'module.{key}': value for key, value in state.items()},
            lambda state: dict(
                state_dict={f'model.{key}': value for key, value in state.items()}
            ),
            lambda state: dict(model=state, epoch=3),
        ],
        ids=['module.', 'model.', 'under model'],
    )
    def test_what_wraps_it_is_taken_off_and_said(self, load, change, capsys):
        code, loaded = load(change)
        assert code is None and 'its weights are taken' in capsys.readouterr().out
        assert all(torch.equal(loaded[key], load.state[key]) for key in load.state)

    @pytest.mark.parametrize('model', [None, distiller(loss_fit=FIT)])
    def test_none_of_it(self, load, model):
        def rename(state):
            return {f'net{n}': value for n, value in enumerate(state.values())}

        code, loaded = load(rename, model=model)
        assert code.startswith('error: ') and 'none of the' in code and "'net0'" in code
        assert not loaded

    def test_little_of_it(self, load):
        def head(state):
            return {key: state[key] for key in state if 'layer' not in key}

        code, loaded = load(head)
        assert re.search("has \\d+ of the model's \\d+ tensors", code) and not loaded
        assert 'CheckpointFitHook' in code
        allowed = "custom_hooks = [dict(type='mmkd.CheckpointFitHook', least=0.05)]\n"
        code, loaded = load(head, more=allowed)
        assert code is None and loaded

    def test_another_head_is_usual(self, load):
        code, loaded = load(lambda state: state, 'model.head.num_classes=7')
        assert code is None and loaded


def test_testing_other_weights_is_refused(trained, tmp_path, monkeypatch):
    config, _ = trained
    torch.save(dict(state_dict={'net.weight': torch.zeros(1)}), tmp_path / 'other.pth')
    cfg = Config.fromfile(config)
    cfg.update(
        test_dataloader=dict(cfg.train_dataloader),
        test_evaluator=dict(type='Accuracy', topk=(1,)),
        test_cfg=dict(),
    )
    cfg.dump(tmp_path / 'test.py')
    arguments = [tmp_path / 'test.py', tmp_path / 'other.pth', '--work-dir', tmp_path]
    error = call(monkeypatch, 'test', *arguments)
    assert "has none of the model's" in error and "'net.weight'" in error


def start(*command):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    env = dict(os.environ, OMP_NUM_THREADS='1', PATH=path, PYTHONWARNINGS='ignore')
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env=dict(env, PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != 'linux', reason='prctl is of Linux')
def test_ranks_end_with_their_launcher(trained, tmp_path):
    """And the lock of the work dir, which the first of them held."""
    config, run = trained[0], tmp_path / 'run'
    more = ['--work-dir', run, '--launcher', 'pytorch']
    more += ['--cfg-options', 'train_cfg.max_epochs=100000', 'train_cfg.val_interval=9']
    more += ['default_hooks.checkpoint.interval=100000']
    port = f'--master-port={29500 + os.getpid() % 1000}'
    torchrun = [
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--nproc-per-node=2',
        port,
    ]
    launcher = start(*torchrun, port, 'tools/train.py', config, *more)
    ranks = []
    try:
        wait_for(lambda: len(iterations(run)) > 1)
        task = Path(f'/proc/{launcher.pid}/task/{launcher.pid}')
        ranks += [int(number) for number in (task / 'children').read_text().split()]
        assert len(ranks) == 2
        launcher.kill()
        launcher.wait()
        with locked(run, patience=10):
            pass
        wait_for(lambda: not any(Path(f'/proc/{rank}').exists() for rank in ranks), 10)
    finally:
        launcher.kill()
        for rank in ranks:
            with suppress(ProcessLookupError):
                os.kill(rank, signal.SIGKILL)
