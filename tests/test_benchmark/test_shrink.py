"""Shrinking configs, which are dicts here: nothing is built."""

import pytest
import torch
from mmengine.config import Config

from mmkd.benchmark.hashes import config_hash
from mmkd.benchmark.shrink import shrink
from mmkd.benchmark.slicing import slice_teachers
from mmkd.configs import load_config
from mmkd.errors import CheckpointError, ConfigError


def loader(split, wrapped=True):
    dataset = dict(type='mmkd.CIFAR100', data_root='data', split=split)
    return dict(
        dataset=dict(type='mmkd.ImageTensors', dataset=dataset) if wrapped else dataset
    )


def classifier():
    return dict(
        type='ImageClassifier', head=dict(type='LinearClsHead', num_classes=100)
    )


def config(checkpoint=None, weight=0.9):
    return Config(
        dict(
            model=dict(
                type='mmkd.Distiller',
                student=classifier(),
                teacher=dict(config=dict(model=classifier()), checkpoint=checkpoint),
                losses=dict(loss_kd=dict(type='KDLoss', on='logits', weight=weight)),
            ),
            train_dataloader=loader('train'),
            val_dataloader=loader('test', wrapped=False),
            val_evaluator=dict(type='Accuracy', topk=(1, 5)),
            train_cfg=dict(by_epoch=True, max_epochs=240),
            param_scheduler=dict(type='MultiStepLR', milestones=[150, 180, 210]),
        )
    )


def test_epochs_scale_every_time():
    weight = dict(
        value=1.0,
        warmup_epochs=20,
        shape='step',
        milestones=[120, 180],
        begin=6,
        end=120,
        stop=200,
    )
    before = config(weight=weight)
    cfg, done = shrink(before, epochs=30)
    assert done == ['30 of 240 epochs']
    assert cfg.train_cfg.max_epochs == 30
    assert cfg.param_scheduler.milestones == [19, 22, 26]
    wanted = dict(warmup_epochs=2.5, milestones=[15, 22.5], begin=0.75, end=15, stop=25)
    assert {key: cfg.model.losses.loss_kd.weight[key] for key in wanted} == wanted
    assert before.to_dict() == config(weight=weight).to_dict()


def test_held_out_images_are_the_training_set_s_and_not_trained_on():
    cfg, done = shrink(config(), hold_out=0.2)
    assert done == ['validated on the last 20 % of the training images']
    train = cfg.train_dataloader.dataset.dataset
    val = cfg.val_dataloader.dataset
    assert (train.split, train.fraction, train.get('part')) == ('train', 0.8, None)
    assert (val.split, val.fraction, val.part) == ('train', 0.2, 'last')
    cfg, done = shrink(config(), fraction=0.1, hold_out=0.2)
    assert len(done) == 2 and cfg.train_dataloader.dataset.dataset.fraction == 0.1


@pytest.mark.parametrize(
    'old, epochs, new',
    [
        ([150, 180, 210], 4, [1, 2, 3]),
        ([150, 180, 210], 6, [3, 4, 5]),
        ([228, 234, 237], 10, [7, 8, 9]),
        ([120, 480], 24, [12, 48]),
    ],
)
def test_milestones_stay_distinct_and_within(old, epochs, new):
    cfg = config()
    cfg.param_scheduler.milestones = old
    assert shrink(cfg, epochs=epochs)[0].param_scheduler.milestones == new


def test_warm_up_and_cosine_scale():
    cfg = config()
    cfg.param_scheduler = [
        dict(type='LinearLR', by_epoch=True, begin=0, end=16),
        dict(type='CosineAnnealingLR', T_max=224, begin=16, end=240),
    ]
    warmup, cosine = shrink(cfg, epochs=30)[0].param_scheduler
    assert warmup.end == cosine.begin == 2
    assert (cosine.T_max, cosine.end) == (28, 30)


def test_the_schedule_of_detectors_scales():
    """Its warm-up is by iterations, of which an epoch keeps its number."""
    stock = load_config('mmdet::_base_/schedules/schedule_1x.py')
    cfg = config()
    cfg.train_cfg, cfg.param_scheduler = stock.train_cfg, stock.param_scheduler
    cfg, done = shrink(cfg, epochs=3)
    warmup, steps = cfg.param_scheduler
    assert (warmup.begin, warmup.end, warmup.by_epoch) == (0, 125, False)
    assert (steps.begin, steps.end, steps.milestones) == (0, 3, [1, 2])
    assert done == ['3 of 12 epochs'] and cfg.train_cfg.max_epochs == 3


@pytest.mark.parametrize(
    'change, says',
    [
        ({'param_scheduler.milestones': [1, 2, 3, 4, 5, 6]}, 'no room'),
        ({'param_scheduler.by_epoch': False}, 'MultiStepLR'),
        ({'param_scheduler.type': 'ExponentialLR'}, 'ExponentialLR'),
        ({'param_scheduler': dict(type='LinearLR', end=48)}, 'too few'),
        ({'train_cfg': dict(by_epoch=False, max_iters=9)}, 'here of 9 iterations'),
        ({'train_cfg.dynamic_intervals': [(9, 1)]}, 'dynamic_intervals'),
        ({'custom_hooks': [dict(type='X', switch_epoch=9)]}, 'switch_epoch'),
        ({'model.losses.loss_kd.weight': dict(warmup_iters=9)}, 'loss_kd'),
        ({'model.losses.loss_kd.weight': dict(unit='iter', stop=9)}, 'loss_kd'),
        ({'train_cfg.max_epochs': 4}, "config's 4"),
    ],
)
def test_what_cannot_be_scaled_is_refused(change, says):
    cfg = config()
    for key, value in change.items():
        *outer, last = key.split('.')
        holder = cfg
        for name in outer:
            holder = holder[name]
        holder[last] = value
    with pytest.raises(ConfigError, match=says):
        shrink(cfg, epochs=5)


def test_classes_and_fraction_reach_data_and_heads():
    cfg, done = shrink(config(), classes=20, fraction=0.5)
    assert done == ['20 of 100 classes', '50 % of the training images']
    train, val = cfg.train_dataloader.dataset.dataset, cfg.val_dataloader.dataset
    assert (train.num_classes, train.fraction) == (20, 0.5)
    assert val.num_classes == 20 and 'fraction' not in val
    assert cfg.model.student.head.num_classes == 20
    assert cfg.model.teacher.config.model.head.num_classes == 20


def test_the_student_alone_and_a_teachers_path(tmp_path):
    cfg = config()
    cfg.model = cfg.model.student
    assert shrink(cfg, classes=20)[0].model.head.num_classes == 20
    path = tmp_path / 'teacher.py'
    path.write_text(f"default_scope = 'mmpretrain'\nmodel = {classifier()}\n")
    cfg = config()
    cfg.model.teacher.config = str(path)
    teacher = shrink(cfg, classes=20)[0].model.teacher.config
    assert teacher.model.head.num_classes == 20
    assert teacher.default_scope == 'mmpretrain'


def test_nothing_to_do_does_nothing():
    cfg, done = shrink(config(), epochs=240, classes=100, fraction=1.0)
    assert done == [] and cfg.to_dict() == config().to_dict()


@pytest.mark.parametrize(
    'limits, says',
    [
        (dict(classes=4), 'from 5'),
        (dict(classes=101), 'to the 100'),
        (dict(fraction=0.0), 'above 0'),
        (dict(fraction=1.5), 'up to 1'),
        (dict(hold_out=1.0), 'not between 0 and 1'),
        (dict(fraction=0.9, hold_out=0.2), 'overlap'),
    ],
)
def test_limits_out_of_range(limits, says):
    with pytest.raises(ConfigError, match=says):
        shrink(config(), **limits)


def test_other_data_sets_and_heads_are_named():
    cfg = config()
    cfg.train_dataloader.dataset.dataset.type = 'ImageNet'
    with pytest.raises(ConfigError, match='train_dataloader reads ImageNet'):
        shrink(cfg, fraction=0.5)
    cfg = config()
    both = [cfg.train_dataloader.dataset, cfg.val_dataloader.dataset]
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=both)
    with pytest.raises(ConfigError, match='reads mmkd.CIFAR100 and mmkd.CIFAR100'):
        shrink(cfg, hold_out=0.5)
    cfg = config()
    cfg.model.teacher.config.model.head.type = 'VisionTransformerClsHead'
    with pytest.raises(ConfigError, match='VisionTransformerClsHead'):
        shrink(cfg, classes=20)


def save_teacher(path, rows=100):
    weight = torch.arange(rows * 3.0).view(rows, 3)
    state = {'head.fc.weight': weight, 'head.fc.bias': weight[:, 0], 'conv': weight}
    names = [f'class {index}' for index in range(rows)]
    meta = dict(dataset_meta=dict(classes=names))
    torch.save(dict(state_dict=state, meta=meta, optimizer=dict(a=1)), path)
    return state


def test_the_teachers_checkpoint_is_sliced(tmp_path):
    source = tmp_path / 'resnet56.pth'
    state = save_teacher(source)
    cfg = config(str(source))
    slice_teachers(cfg, 20, tmp_path / 'teachers')
    target = cfg.model.teacher.checkpoint
    assert 'teachers/resnet56_first20' in target
    sliced = torch.load(target, weights_only=True)
    for key in ('head.fc.weight', 'head.fc.bias'):
        assert torch.equal(sliced['state_dict'][key], state[key][:20])
    assert torch.equal(sliced['state_dict']['conv'], state['conv'])
    classes = sliced['meta']['dataset_meta']['classes']
    assert classes == tuple(f'class {index}' for index in range(20))
    # Another teacher of the same name makes another file.
    save_teacher(source, rows=50)
    other = config(str(source))
    slice_teachers(other, 20, tmp_path / 'teachers')
    assert other.model.teacher.checkpoint != target


def test_of_a_file_of_several_networks_the_teacher_is_sliced(tmp_path):
    source = tmp_path / 'both.pth'
    state = save_teacher(source)
    both = {f'teacher.{key}': value for key, value in state.items()}
    both.update({f'student.{key}': value + 1 for key, value in state.items()})
    torch.save(dict(state_dict=both), source)
    for whose, more in dict(student=1, teacher=0).items():
        cfg = config(str(source))
        cfg.model.teacher.prefix = f'{whose}.'
        slice_teachers(cfg, 20, tmp_path / 'teachers')
        assert 'prefix' not in cfg.model.teacher  # nothing is before its names now
        sliced = torch.load(cfg.model.teacher.checkpoint)['state_dict']
        assert torch.equal(sliced['conv'], state['conv'] + more)


def test_too_few_rows_are_refused(tmp_path):
    save_teacher(tmp_path / 'a.pth', rows=10)
    with pytest.raises(CheckpointError, match='10 rows'):
        slice_teachers(config(str(tmp_path / 'a.pth')), 20, tmp_path)


def test_hash_is_over_what_is_trained(tmp_path):
    path, copied = tmp_path / 'a.pth', tmp_path / 'b.pth'
    save_teacher(path)
    copied.write_bytes(path.read_bytes())
    cfg = config(str(path))
    known = config_hash(cfg)
    assert len(known) == 10
    cfg.merge_from_dict(
        dict(work_dir='x', randomness=dict(seed=3), published=dict(a=1))
    )
    assert config_hash(cfg) == known == config_hash(config(str(copied)))
    cfg.train_cfg.max_epochs = 3
    assert config_hash(cfg) != known
    save_teacher(path, rows=50)
    assert config_hash(config(str(path))) != known
