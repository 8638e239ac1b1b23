"""Labels of the training set on their way to the losses that ask for them."""

import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset, KFoldDataset
from mmpretrain.structures import DataSample

from mmkd.engine.hooks.training_labels_hook import TrainingLabelsHook, training_labels
from mmkd.errors import ConfigError
from mmkd.models import Distiller
from mmkd.models.losses import crd_loss  # noqa: F401  registers it
from mmkd.testing import toy_classifier

LABELS = [0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 0, 0]


class Noise(BaseDataset):
    """Twelve noise images with labels."""

    METAINFO = dict(classes=('a', 'b', 'c'))

    def __init__(self, labels=LABELS, **kwargs):
        self.labels = labels
        super().__init__(ann_file='', pipeline=[pack], **kwargs)

    def load_data_list(self):
        return [dict(gt_label=label) for label in self.labels]


class Unlabelled(Noise):
    def load_data_list(self):
        return [dict(img_path=str(place)) for place in range(4)]


class Tagged(Noise):
    def load_data_list(self):
        return [dict(gt_label=labels) for labels in ([0, 1], [2], [1])]


def pack(info):
    generator = torch.Generator().manual_seed(info['sample_idx'])
    image = torch.randint(0, 256, (3, 32, 32), generator=generator).byte()
    sample = DataSample(metainfo=dict(sample_idx=info['sample_idx']))
    return dict(inputs=image, data_samples=sample.set_gt_label(info['gt_label']))


class Record(Hook):
    """Keeps the loss of each iteration."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss_crd'].item())


def distiller():
    spec = dict(type='CRDLoss', on='neck', num_samples=12, feat_dim=5, negatives=7)
    teacher = dict(config=toy_classifier(width=12), allow_untrained=True)
    losses = dict(loss_crd=dict(spec, weight=0.8))
    return dict(
        type='mmkd.Distiller', student=toy_classifier(), teacher=teacher, losses=losses
    )


def train(work_dir, epochs, dataset=None, hooks=None, resume=False):
    torch.manual_seed(0)
    record = Record()
    hooks = [dict(type='mmkd.TrainingLabelsHook')] if hooks is None else hooks
    runner = Runner(
        model=copy.deepcopy(distiller()),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=dataset or Noise(),
            batch_size=6,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        custom_hooks=[dict(type='mmkd.EpochSeedHook'), record, *hooks],
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        experiment_name=f'{work_dir.name}{epochs}',
        resume=resume,
    )
    runner.train()
    path = work_dir / f'epoch_{epochs}.pth'
    return record.losses, torch.load(path, weights_only=False)['state_dict']


def test_crd_trains_and_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    losses, whole = train(tmp_path / 'whole', 2)
    first, half = train(tmp_path / 'parts', 1)
    second, resumed = train(tmp_path / 'parts', 2, resume=True)
    assert first + second == losses and len(losses) == 4
    assert list(whole) == list(resumed)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    prefix = 'distill.loss_crd.loss.'
    memory, log_z = f'{prefix}student_memory', f'{prefix}log_z'
    assert not torch.equal(half[memory], whole[memory])
    assert half[log_z].isfinite().all() and torch.equal(half[log_z], whole[log_z])
    # Every sample has been there.
    torch.testing.assert_close(half[memory].norm(dim=1), torch.ones(12))


def test_without_the_hook_the_first_step_names_it(tmp_path):
    with pytest.raises(ConfigError, match='mmkd.TrainingLabelsHook'):
        train(tmp_path, 1, hooks=[])


def test_a_data_set_larger_than_the_memory_stops_before_training(tmp_path):
    with pytest.raises(ConfigError, match=r'\(14,\).*num_samples=12'):
        train(tmp_path, 1, Noise([*LABELS, 1, 2]))


NOISE = dict(type=Noise)
BALANCED = dict(type=ClassBalancedDataset, oversample_thr=0.9)
WRAPPED = [
    lambda: Noise(),
    lambda: Noise(indices=[2, 4, 5, 6, 10]),
    lambda: Noise(serialize_data=False, lazy_init=True),
    lambda: RepeatDataset(Noise(), times=3),
    lambda: ClassBalancedDataset(Noise(), oversample_thr=0.9),
    lambda: RepeatDataset(dict(BALANCED, dataset=NOISE), times=2),
    lambda: KFoldDataset(NOISE, fold=1, num_splits=3),
]


@pytest.mark.parametrize('make', WRAPPED)
def test_the_label_at_a_samples_number_is_the_samples(make):
    dataset = make()
    labels = training_labels(dataset)
    numbers = set()
    for place in range(len(dataset)):
        sample = dataset[place]['data_samples']
        assert labels[sample.sample_idx] == sample.gt_label
        numbers.add(sample.sample_idx)
    assert numbers == set(range(len(labels)))


def test_labels_of_image_tensors_are_taken(monkeypatch):
    from mmkd.datasets import ImageTensors

    class Images(Noise):
        def load_data_list(self):
            image = np.zeros((4, 4, 3), np.uint8)
            return [dict(gt_label=label, img=image) for label in self.labels]

    monkeypatch.setattr(Images, '__init__', lambda self, pipeline: Noise.__init__(self))
    assert training_labels(ImageTensors(dict(type=Images))).tolist() == LABELS


@pytest.mark.parametrize(
    'make, sentence',
    [
        (lambda: ConcatDataset([Noise(), Noise()]), 'ConcatDataset joins .*train on'),
        (
            lambda: RepeatDataset(
                dict(type=ConcatDataset, datasets=[NOISE] * 2), times=2
            ),
            'ConcatDataset joins',
        ),
        (lambda: Unlabelled(), 'Unlabelled, does not give one label .*gt_label.*use'),
        (lambda: Tagged(), 'Tagged, does not give one label a sample'),
        (lambda: [1, 2], "list, does not give .*'get_gt_labels'"),
    ],
)
def test_data_sets_without_one_label_a_sample_are_refused(make, sentence):
    with pytest.raises(ConfigError, match=f'TrainingLabelsHook: .*{sentence}'):
        training_labels(make())


class Loaded:
    """What the hook sees of a Runner."""

    def __init__(self, model):
        self.model = model
        self.train_dataloader = torch.utils.data.DataLoader(Noise())


def test_every_loss_gets_them_through_a_wrapper_too(monkeypatch):
    spec = dict(type='CRDLoss', on='neck', num_samples=20, feat_dim=5)
    losses = dict(
        loss_one=spec,
        loss_two=dict(spec, num_samples=12),
        loss_kd=dict(type='KDLoss', on='logits'),
    )
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    model = Distiller(toy_classifier(), losses, teacher=teacher)
    # Without a process group: only what unwrapping looks at.
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    torch.nn.Module.__init__(wrapper)
    wrapper.module = model
    TrainingLabelsHook().before_train(Loaded(wrapper))
    seen = [model.distill[name].loss.negatives.seen for name in list(losses)[:2]]
    assert seen == [12, 12]


def test_a_model_that_is_no_distiller_is_left_alone():
    TrainingLabelsHook().before_train(Loaded(torch.nn.Linear(1, 1)))
