"""A run that was stopped anywhere and resumed ends as one that was not."""

import itertools

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mmkd.engine.batches import Batches
from mmkd.engine.launch import HOOKS_OF_ALL
from mmkd.testing import (
    classification_batch,
    detection_batch,
    toy_classifier,
    toy_detector,
)
from mmkd.visualization.run_log import ASIDE, RunLog

SAVE_BEST = dict(type='CheckpointHook', save_best='auto', rule='less')
NAMES = map('resume_equal_{}'.format, itertools.count())


class Augmented(Dataset):
    """Made-up samples, changed by all three streams whenever they are read."""

    metainfo = dict(classes=tuple('abcde'))

    def __init__(self, batch):
        self.batch = batch
        self.read = []

    def __len__(self):
        return len(self.batch['inputs'])

    def __getitem__(self, index):
        self.read.append(index)
        image = self.batch['inputs'][index].clone()
        if np.random.rand() < 0.5:
            image = 255 - image
        image[0] = torch.randint(256, (1,))
        return dict(inputs=image, data_samples=self.batch['data_samples'][index])


class Confidence(BaseMetric):
    """The mean of some figure of the predictions, which differs from run to run."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            scores = sample.get('pred_score')
            if scores is None:
                scores = sample['pred_instances']['scores']
            self.results.append(float(scores[:2].square().sum()))

    def compute_metrics(self, results):
        return dict(score=sum(results) / len(results))


class Killed(BaseException):
    """What nothing catches."""


class Kill(Hook):
    """Ends a run at the n-th call of a point, after or before all other hooks."""

    def __init__(self, point, nth, priority='LOWEST'):
        self.left, self.priority = nth, priority
        setattr(self, point, self.count)

    def count(self, runner, *args, **kwargs):
        self.left -= 1
        if not self.left:
            raise Killed


def classifier():
    """An epoch is of three iterations, and five are trained."""
    teacher = dict(config=toy_classifier(5, width=12), allow_untrained=True)
    losses = dict(
        loss_fit=dict(
            type='FitNetLoss',
            on='backbone.layer2',
            weight=dict(value=1.0, warmup_epochs=3),
        ),
        loss_kd=dict(type='KDLoss', on='logits', tau=4.0, weight=2.0),
    )
    return dict(
        model=dict(
            type='mmkd.Distiller',
            student=toy_classifier(5),
            teacher=teacher,
            losses=losses,
        ),
        data=classification_batch(11, classes=5),
        loader=dict(
            batch_size=4,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=5, val_interval=2),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
            dict(type='MultiStepLR', milestones=[3], gamma=0.1),
        ],
        default_hooks=dict(
            runtime_info=dict(type='mmkd.BufferedInfoHook', interval=2),
            logger=dict(type='LoggerHook', interval=2),
            checkpoint=dict(SAVE_BEST, interval=1, max_keep_ckpts=2),
        ),
        custom_hooks=[dict(type='EMAHook', ema_type='MomentumAnnealingEMA')],
        default_scope='mmpretrain',
        log_processor=dict(window_size=5),
    )


def detector():
    """Saves every two of seven iterations, and validates every three."""
    teacher = dict(config=toy_detector(width=12), allow_untrained=True)
    losses = dict(
        loss_roi=dict(
            type='LumiNetLoss',
            on='roi.logits',
            weight=dict(value=1.0, warmup_iters=5),
        ),
        loss_neck=dict(type='FitNetLoss', on='neck'),
    )
    return dict(
        model=dict(
            type='mmkd.Distiller',
            student=toy_detector(),
            teacher=teacher,
            losses=losses,
        ),
        data=detection_batch([2, 3, 1, 2, 3], size=64),
        loader=dict(batch_size=2, sampler=dict(type='InfiniteSampler')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, val_interval=3),
        param_scheduler=dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4),
        default_hooks=dict(
            runtime_info=dict(type='mmkd.BufferedInfoHook', interval=3),
            logger=dict(type='LoggerHook', interval=3, log_metric_by_epoch=False),
            checkpoint=dict(SAVE_BEST, by_epoch=False, interval=2),
        ),
        custom_hooks=[dict(type='mmkd.EpochSeedHook')],  # as configs name it
        default_scope='mmdet',
        log_processor=dict(window_size=4, by_epoch=False),
    )


def train(kind, work_dir, kill=None, **changes):
    """Train one of these from its last checkpoint, or from the beginning."""
    settings = dict(kind(), **changes)
    data, loader = settings.pop('data'), dict(settings.pop('loader'), num_workers=0)
    hooks = [dict(type=f'mmkd.{name}') for name in HOOKS_OF_ALL]
    settings['custom_hooks'] = [*settings['custom_hooks'], *hooks]
    if kill:
        settings['custom_hooks'].append(kill)
    resumed = (work_dir / 'last_checkpoint').exists()
    runner = Runner(
        work_dir=str(work_dir),
        train_dataloader=dict(loader, dataset=Augmented(data)),
        val_dataloader=dict(
            loader,
            dataset=Augmented(data),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_evaluator=dict(type=Confidence),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.002)),
        randomness=dict(seed=0),
        resume=resumed,
        experiment_name=next(NAMES),
        **settings,
    )
    try:
        runner.train()
    except Killed:
        return False
    return True


def outcome(work_dir):
    """What a run ends with: the states in its checkpoints, and its log."""
    states = {}
    for path in sorted(work_dir.glob('*.pth')):
        state = torch.load(path, weights_only=False)
        meta, hub = state.pop('meta'), state.pop('message_hub')
        state['at'] = meta['epoch'], meta['iter']
        state['best'] = hub['runtime_info'].get('best_score')
        state['logged'] = {
            name: [values.tolist() for values in history.data]
            for name, history in hub['log_scalars'].items()
            if name.split('/')[-1] not in ASIDE
        }
        states[path.name] = state
    curves = RunLog(work_dir).curves
    return states, {name: curve for name, curve in curves.items() if name not in ASIDE}


def assert_same(state, other, where=''):
    """Compare nested states, bit for bit."""
    if isinstance(state, dict):
        assert list(state) == list(other), where
        for key in state:
            assert_same(state[key], other[key], f'{where}.{key}')
    elif isinstance(state, (list, tuple)):
        assert len(state) == len(other), where
        for index, pair in enumerate(zip(state, other)):
            assert_same(*pair, f'{where}.{index}')
    elif isinstance(state, torch.Tensor):
        assert torch.equal(state, other), where
    else:
        assert state == other, where


@pytest.fixture(scope='module', params=[classifier, detector])
def undisturbed(request, tmp_path_factory):
    """A kind of training, and what it ends with where nothing comes in between."""
    folder = tmp_path_factory.mktemp('undisturbed')
    assert train(request.param, folder)
    return request.param, outcome(folder)


#: Several kills, each of a run that goes on from where the one before was.
KILLS = {
    'before anything is saved': [('before_train_iter', 2)],
    'in an iteration': [('before_train_iter', 6, 'VERY_HIGH')],
    'once saved, before the validation': [('before_val', 1, 'VERY_HIGH')],
    'once validated, before the best is saved': [('after_val_epoch', 1, 'LOW')],
    'while the best is saved': [('before_save_checkpoint', 4)],
    'in the last validation': [('before_val', 3)],
    'in the validation that is made up': [('before_val', 1), ('after_val_iter', 2)],
    'again and again': [('after_train_iter', 4)] * 3,
}


@pytest.mark.parametrize('kills', KILLS.values(), ids=KILLS)
def test_ends_as_if_it_had_not_been_killed(undisturbed, tmp_path, kills):
    kind, expected = undisturbed
    ended = [train(kind, tmp_path, Kill(*kill)) for kill in kills]
    assert not ended[0]
    if not ended[-1]:
        assert train(kind, tmp_path)
    assert_same(outcome(tmp_path), expected)


def test_a_run_at_its_end_validates_what_its_checkpoint_does_not_know(
    undisturbed, tmp_path
):
    """It knows of a validation that gave the best, with which it was saved again."""
    kind, _ = undisturbed
    kill = Kill('before_val_iter', 1)
    assert train(kind, tmp_path)
    (final,) = tmp_path.glob('*_5.pth' if kind is classifier else 'iter_7.pth')
    known = torch.load(final, weights_only=False)['message_hub']['runtime_info']
    is_best = known['best_ckpt'].endswith(final.name)
    assert train(kind, tmp_path, kill) == is_best


def test_an_epoch_that_was_left_in_its_middle_begins_anew_and_says_so(tmp_path):
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=4)
    hooks = dict(checkpoint=checkpoint)
    assert not train(
        classifier, tmp_path, Kill('after_train_iter', 5), default_hooks=hooks
    )
    train(classifier, tmp_path, Kill('before_train_epoch', 1), default_hooks=hooks)
    logs = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'The checkpoint is of 1 iterations into epoch 2' in logs


class Indexed(Augmented):
    """Samples that say which they are, and what was drawn for them."""

    def __init__(self, length):
        self.length, self.read = length, []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.read.append(index)
        return index, np.random.rand(), torch.rand(1).item()


def batches(workers=0, first=0, shuffled=True, length=7):
    """Return batches of two, endless, and the data set."""
    dataset = Indexed(length)
    if shuffled:
        sampler = InfiniteSampler(dataset, seed=1)
    else:
        sampler = DefaultSampler(dataset, seed=1)
    sampler = BatchSampler(sampler, 2, drop_last=False)
    loader = DataLoader(
        dataset, batch_sampler=sampler, num_workers=workers, collate_fn=list
    )
    return Batches(loader, sampler, seed=3, first=first), dataset


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('first', [0, 5])
def test_a_batch_is_a_function_of_its_number(workers, first):
    expected = list(itertools.islice(batches()[0], 9))
    stream, _ = batches(workers, first)
    assert list(itertools.islice(stream, 9 - first)) == expected[first:]
    drawn = [numbers for batch in expected for _, *numbers in batch]
    assert len(set(sum(drawn, []))) == 36


def test_what_was_trained_on_is_not_read_again():
    stream, dataset = batches(first=1000)
    batch = next(stream)
    assert dataset.read == [index for index, *_ in batch]


def test_passes_are_those_of_mmengines_loop(monkeypatch):
    """Each of another order, and the last batch of each is small."""
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    stream, dataset = batches(shuffled=False)
    sampler = BatchSampler(DefaultSampler(dataset, seed=1), 2, drop_last=False)
    stock = _InfiniteDataloaderIterator(
        DataLoader(dataset, batch_sampler=sampler, collate_fn=list)
    )
    for _ in range(10):
        indices = [index for index, *_ in next(stream)]
        assert indices == [index for index, *_ in next(stock)]


def test_no_data_is_no_endless_loop():
    dataset = Indexed(1)
    sampler = BatchSampler(DefaultSampler(dataset, seed=1), 2, drop_last=True)
    loader = DataLoader(dataset, batch_sampler=sampler)
    with pytest.raises(StopIteration):
        next(Batches(loader, sampler, seed=3, first=0))
