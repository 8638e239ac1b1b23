"""What a user reads of what other packages raise."""

import errno
import os

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from mmkd.engine.launch import build_runner, run
from mmkd.engine.sentences import sentence
from mmkd.errors import ConfigError, MMKDError, explained
from mmkd.testing import toy_classifier


@DATASETS.register_module()
class FourImages(Dataset):
    """Images that are asked for by no test here."""

    metainfo = dict(classes=tuple('abcdefghij'))

    def __init__(self, pipeline=()):
        from mmengine.dataset import Compose

        self.pipeline = Compose(pipeline)

    def __len__(self):
        return 4


def config(folder):
    loader = dict(
        dataset=dict(type='FourImages', pipeline=[dict(type='PackInputs')]),
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    return Config(
        dict(
            model=toy_classifier(),
            work_dir=str(folder),
            experiment_name=folder.name,
            default_scope='mmpretrain',
            train_dataloader=loader,
            val_dataloader=loader,
            val_evaluator=[dict(type='Accuracy'), dict(type='SingleLabelMetric')],
            val_cfg=dict(),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            param_scheduler=dict(type='MultiStepLR', milestones=[2], gamma=0.1),
            custom_hooks=[dict(type='EMAHook'), dict(type='IterTimerHook')],
            log_level='ERROR',
        )
    )


@pytest.mark.parametrize(
    'changes, words',
    [
        (
            {'custom_hooks.1.type': 'IterTimeHook'},
            r'custom_hooks\[1\] \(IterTimeHook\) cannot be built: there is no hook of '
            'this name, did you mean IterTimerHook',
        ),
        (
            {'custom_hooks.0.momentun': 1},
            r'MovingAverage cannot be built: .*momentun',
        ),
        ({'custom_hooks.0.type': None}, 'a part of the config cannot .*type'),
        (
            {'train_dataloader.dataset.type': 'FourImage'},
            r'train_dataloader\.dataset \(FourImage\).*did you mean FourImages',
        ),
        (
            {'train_dataloader.dataset.root': 1},
            r"train_dataloader\.dataset \(FourImages\).*'root'",
        ),
        (
            {'train_dataloader.dataset.pipeline.0.type': 'PackInput'},
            r'train_dataloader\.dataset\.pipeline\[0\] \(PackInput\).*PackInputs',
        ),
        (
            {'train_dataloader.sampler.type': 'DefaultSample'},
            r'train_dataloader\.sampler \(DefaultSample\).*mean DefaultSampler',
        ),
        (
            {'optim_wrapper.optimizer.type': 'SDG'},
            r'optim_wrapper\.optimizer \(SDG\).*no optimizer of this name',
        ),
        ({'optim_wrapper.optimizer.lrr': 1}, r'optim_wrapper\.optimizer .SGD.*lrr'),
        ({'optim_wrapper.optimizer.lr': -1}, r'SGD.*Invalid learning rate: -1'),
        (
            {'optim_wrapper.type': 'AmpOptimWrapper'},
            r'optim_wrapper \(AmpOptimWrapper\).*only available training on gpu',
        ),
        ({'param_scheduler.gama': 1}, r"param_scheduler \(MultiStepLR\).*'gama'"),
        ({'param_scheduler.type': 'StepsLR'}, r'param_scheduler \(StepsLR\).*StepLR'),
        ({'val_evaluator.1.type': 'Acuracy'}, r'val_evaluator\[1\].*mean Accuracy'),
        ({'val_evaluator.0.top': 1}, r"val_evaluator\[0\] \(Accuracy\).*'top'"),
        (
            {'train_cfg.type': 'Loop'},
            'Runner refuses .*one of `type` or `by_epoch`',
        ),
        ({'train_cfg.max_epoch': 1}, "Runner refuses .*'max_epoch'"),
        ({'model.backbone.depth': 19}, r'model\.backbone \(ResNet\).*19'),
        ({'optim_wrapper': None}, 'train_cfg, but no optim_wrapper; give all of'),
        ({'val_evaluator': None}, 'val_cfg, but no val_evaluator; give all of'),
        (
            dict.fromkeys(
                ['train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler']
            ),
            "MMEngine's Runner refuses the config: RuntimeError: .*train_cfg",
        ),
        ({'param_scheduler': 3}, 'Runner refuses .*param_scheduler|param_scheduler'),
    ],
)
def test_what_cannot_be_built_is_named(changes, words, tmp_path, monkeypatch, capsys):
    if torch.cuda.is_available() and 'optim_wrapper.type' in changes:
        pytest.skip('there is a GPU')
    monkeypatch.setenv('LOCAL_RANK', '0')
    cfg = config(tmp_path)
    cfg.merge_from_dict(changes)
    with pytest.raises(SystemExit, match=f'^error: .*{words}.*[^\n]$') as stopped:
        run(lambda: build_runner(cfg).train())
    assert '\n' not in stopped.value.code and len(stopped.value.code) < 500
    assert 'Traceback' not in capsys.readouterr().err


def caught(function):
    with pytest.raises(Exception) as info:
        function()
    return info.value


@pytest.mark.parametrize(
    'number', [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EISDIR, errno.ENOENT]
)
def test_a_file_that_cannot_be_written(number, tmp_path):
    path = tmp_path / 'no/such/file'
    said = sentence(OSError(number, os.strerror(number), str(path)))
    assert said.startswith(f'{path} cannot be written')
    assert said.endswith(('give another path.', 'free some space.', 'it writable.'))
    assert ('MB free' in said) == (number == errno.ENOSPC)


def test_a_config_with_a_function_in_it():
    cfg = Config(dict(scale=lambda image: image))
    with pytest.raises(SyntaxError) as caught:
        cfg.pretty_text  # noqa: B018
    assert 'such as a function' in sentence(caught.value)


def test_a_disk_that_is_full_without_a_name():
    said = sentence(OSError(errno.ENOSPC, 'No space left on device'))
    assert said.startswith('A file cannot be written') and 'MB free' in said


@pytest.mark.parametrize(
    'error',
    [
        torch.cuda.OutOfMemoryError(
            'CUDA out of memory. Tried to allocate 2 GiB.\nMore'
        ),
        caught(lambda: torch.empty(10**15)),
        MemoryError('Unable to allocate 7 PiB'),
    ],
)
def test_memory_that_is_over(error):
    said = sentence(error)
    assert said.startswith('there is not enough memory') and '\n' not in said
    assert 'lower the batch size' in said


def test_an_error_of_a_data_loaders_worker():
    text = 'Caught DataError in DataLoader worker process 0.\nOriginal Traceback\n'
    assert sentence(MMKDError(f'{text}mmkd.errors.DataError: it is.\n')) == 'it is.'


@pytest.mark.parametrize(
    'error', [ValueError('a'), KeyError('a'), BlockingIOError(errno.EAGAIN, 'a')]
)
def test_what_is_no_users_keeps_its_traceback(error):
    def main():
        raise error

    assert sentence(caught(main)) is None
    with pytest.raises(type(error)):
        run(main)


@pytest.mark.parametrize('debug', ['', '0', '1'])
def test_the_original_is_shown_on_demand(debug, monkeypatch, capsys):
    monkeypatch.setenv('MMKD_DEBUG', debug)

    def main():
        with explained('it does not work', 'repair it'):
            raise KeyError('the cause')

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == (
        "error: it does not work (KeyError: 'the cause'); repair it."
    )
    shown = capsys.readouterr().err
    assert ('Traceback' in shown and 'the cause' in shown) == (debug == '1')


@pytest.mark.parametrize(
    'error, words', [(KeyboardInterrupt('so far'), 'so far'), (KeyboardInterrupt, 'on')]
)
def test_ctrl_c_is_one_line(error, words, monkeypatch, capsys):
    import signal

    before = signal.getsignal(signal.SIGINT)

    def main():
        raise error

    try:
        with pytest.raises(SystemExit) as stopped:
            run(main, 'on')
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == f'{words}\n'


@pytest.mark.parametrize('kind', [ConfigError, MMKDError])
def test_an_error_of_mmkd_is_said_as_it_is(kind):
    assert sentence(kind('This, and that.')) == 'This, and that.'
