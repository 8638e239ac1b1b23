"""Batch sizes that leave no batch, or a last one that the network refuses."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmkd.engine.checks.opening import open_data
from mmkd.errors import DataError
from mmkd.registry import DATASETS
from mmkd.testing import classification_batch, toy_classifier


@DATASETS.register_module()
class NoiseImages(Dataset):
    """So many noise images with labels."""

    metainfo = dict(classes=tuple('abcdefghij'))

    def __init__(self, number, size=32):
        self.batch = classification_batch(number, size=size)

    def __len__(self):
        return len(self.batch['data_samples'])

    def __getitem__(self, index):
        return {key: values[index] for key, values in self.batch.items()}


def runner(tmp_path, number, model=None, loop=None, sampler='DefaultSampler', **loader):
    return Runner.from_cfg(
        Config(
            dict(
                default_scope='mmpretrain',
                model=model or toy_classifier(),
                train_dataloader=dict(
                    num_workers=0,
                    sampler=dict(type=sampler),
                    collate_fn=dict(type='default_collate'),
                    dataset=dict(type='mmkd.NoiseImages', number=number),
                    **loader,
                ),
                train_cfg=loop or dict(by_epoch=True, max_epochs=1),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
                work_dir=str(tmp_path),
            )
        )
    )


BY_ITERATION = dict(type='IterBasedTrainLoop', max_iters=2)
#: A ResNet's last map of 32 pixels is one pixel.
REFUSED = 'batch norm in the network cannot take statistics'


@pytest.mark.parametrize('loop', [None, BY_ITERATION])
def test_no_batch_at_all(tmp_path, loop):
    told = runner(tmp_path, 3, batch_size=4, drop_last=True, loop=loop)
    with pytest.raises(DataError, match='batch_size=4 is more than the 3 images'):
        open_data(told)


def test_no_batch_of_stock_detectors(tmp_path):
    ratios = dict(type='mmdet.AspectRatioBatchSampler', drop_last=True)
    told = runner(tmp_path, 3, batch_size=4, batch_sampler=ratios)
    with pytest.raises(DataError, match='batch_size=4 is more than the 3 images'):
        open_data(told)


def test_an_infinite_sampler_fills_its_batches(tmp_path):
    told = runner(
        tmp_path,
        3,
        batch_size=4,
        drop_last=True,
        loop=BY_ITERATION,
        sampler='InfiniteSampler',
    )
    open_data(told)
    told.train()
    assert told.iter == 2


@pytest.mark.parametrize(
    'number, loader, said',
    [
        (5, dict(batch_size=4), 'the last batch of 5 images with batch_size=4'),
        (1, dict(batch_size=4), 'the last batch of 1 images with batch_size=4'),
        (3, dict(batch_size=1), 'batch_size is 1'),
    ],
)
def test_a_batch_of_one_that_batch_norm_refuses(tmp_path, number, loader, said):
    told = runner(tmp_path, number, **loader)
    with pytest.raises(DataError, match=f'{said}.*{REFUSED}'):
        open_data(told)
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        told.train()  # it would have failed


@pytest.mark.parametrize(
    'number, loader',
    [
        (4, dict(batch_size=4)),
        (6, dict(batch_size=4)),
        (5, dict(batch_size=4, drop_last=True)),
    ],
)
def test_other_batches_pass_and_train(tmp_path, number, loader):
    told = runner(tmp_path, number, **loader)
    open_data(told)
    told.train()


def test_larger_maps_take_a_batch_of_one(tmp_path):
    told = runner(tmp_path, 5, batch_size=4)
    told.train_dataloader.dataset.batch = classification_batch(5, size=64)
    open_data(told)
    told.train()


def test_trying_a_step_leaves_weights_and_random_numbers(tmp_path):
    told = runner(tmp_path, 5, batch_size=4)
    told.train_dataloader.dataset.batch = classification_batch(5, size=64)
    before = {key: value.clone() for key, value in told.model.state_dict().items()}
    state = torch.random.get_rng_state()
    open_data(told)
    assert torch.equal(torch.random.get_rng_state(), state)
    for key, value in told.model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_a_loss_between_samples_takes_a_last_batch_of_one(tmp_path):
    """It is zero there, which the loss says itself."""
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    losses = dict(loss_kd=dict(type='LumiNetLoss', on='logits'))
    model = dict(
        type='mmkd.Distiller', student=toy_classifier(), teacher=teacher, losses=losses
    )
    told = runner(tmp_path, 5, model=model, batch_size=4)
    told.train_dataloader.dataset.batch = classification_batch(5, size=64)
    open_data(told)
    told.train_dataloader.dataset.batch = classification_batch(5, size=32)
    with pytest.raises(DataError, match=REFUSED):
        open_data(told)
