"""What ``--cfg-options`` may say of a config."""

import pytest
from mmengine.config import Config

from mmkd.errors import ConfigError
from mmkd.options import merge_options


def config():
    return Config(
        dict(
            model=dict(
                type='mmkd.Distiller',
                student=dict(
                    type='FasterRCNN', test_cfg=dict(rcnn=dict(score_thr=0.1))
                ),
                losses=dict(loss_kd=dict(type='KDLoss', on='logits', weight=1.0)),
                teacher=dict(config='a.py', checkpoint='a.pth'),
            ),
            train_dataloader=dict(batch_size=2, dataset=dict(type='CocoDataset')),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
            custom_hooks=[dict(type='EMAHook'), dict(type='NumClassCheckHook')],
            env_cfg=dict(cudnn_benchmark=True),
            val_cfg=None,
        )
    )


@pytest.mark.parametrize(
    'key, value, sentence',
    [
        ('optim_wraper.optimizer.lr', 1, 'no optim_wraper, .*did you mean optim_wrap'),
        ('lr', 1, 'a config has no lr, .*known: .*model, .*optim_wrapper'),
        ('env_cfg.cudnn_benchmrk', True, 'env_cfg has no .*mean cudnn_benchmark'),
        ('randomness.sed', 1, 'randomness has no sed, .*did you mean seed'),
        ('model.student.test_cfg.rcn.score_thr', 0.2, 'no rcn; did you mean rcnn'),
        ('model.student.test_cfg.rcnn.score_thrr', 0.2, 'did you mean score_thr'),
        ('default_hooks.checkpoints.interval', 2, 'did you mean checkpoint'),
        ('model.type.name', 1, "model.type is 'mmkd.Distiller' in the config"),
        ('val_cfg.type', 'ValLoop', 'val_cfg is None in the config'),
        ('custom_hooks.2.type', 'EMAHook', 'a list of 2, so 2 must be from 0 to 1'),
        ('custom_hooks.first.type', 'EMAHook', 'a list of 2, so first must be'),
        ('model', 3, 'model is a dict in the config; .*model.type=.*model=None'),
        ('model..type', 1, 'a name between the dots is empty'),
        ('.', 1, 'a name between the dots is empty'),
    ],
)
def test_what_would_be_ignored_is_refused(key, value, sentence):
    cfg = config()
    with pytest.raises(ConfigError, match=f'--cfg-options {key}={value}: .*{sentence}'):
        merge_options(cfg, {key: value})
    assert cfg._cfg_dict == config()._cfg_dict


def test_values_that_exclude_each_other():
    with pytest.raises(ConfigError, match='--cfg-options cannot be put into'):
        merge_options(config(), {'load_from': 'a', 'load_from.b': 1})


@pytest.mark.parametrize(
    'key',
    [
        'model.losses.loss_kd2.type',  # another loss, not a slip
        'model.losses.loss_kd.tau',
        'model.losses.loss_kd.weight',
        'model.teacher.inference',
        'model.teacher.allow_untrained',
        'model.student.test_cfg.rcnn.max_per_img',
        'model.probe_size',
        'train_dataloader.dataset.indices',
        'train_dataloader.num_workers',
        'default_hooks.checkpoint.max_keep_ckpts',
        'default_hooks.ranks.type',
        'optim_wrapper.clip_grad.max_norm',
        'custom_hooks.1.priority',
        'env_cfg.mp_cfg.mp_start_method',
        'env_cfg.dist_cfg.timeout',
        'randomness.seed',
        'resume',
        'load_from',
        'work_dir',
        'benchmark.metric',
        'tta_model.type',
        'find_unused_parameters',
        'activation_checkpointing',
    ],
)
def test_what_is_read_is_merged(key):
    cfg = config()
    merge_options(cfg, {key: 1})
    value = cfg
    for name in key.split('.'):
        value = value[int(name) if isinstance(value, list) else name]
    assert value == 1


def test_a_runner_of_ones_own_may_read_more():
    cfg = config()
    cfg.runner_type = 'MyRunner'
    merge_options(cfg, dict(rounds=3))
    assert cfg.rounds == 3


def test_a_variable_of_the_text_is_filled_in_already():
    cfg = config()
    cfg.my_root = cfg.train_dataloader.dataset.data_root = 'data/coco/'
    with pytest.raises(ConfigError, match='such as train_dataloader.dataset'):
        merge_options(cfg, {'my_root': 'elsewhere/'})
    cfg.runner_type = 'Reader'  # may read it
    merge_options(cfg, {'my_root': 'elsewhere/'})


def test_an_argument_of_the_class_is_no_slip():
    head = dict(type='ConvFCBBoxHead', num_shared_fcs=2, _scope_='mmdet')
    cfg = Config(dict(model=dict(roi_head=dict(bbox_head=head))))
    merge_options(cfg, {'model.roi_head.bbox_head.num_shared_convs': 1})
    with pytest.raises(ConfigError, match='did you mean num_shared_fcs'):
        merge_options(cfg, {'model.roi_head.bbox_head.num_shared_fc': 1})
