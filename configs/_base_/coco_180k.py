# COCO as two-stage detectors are distilled on it in the papers: mdistiller's recipe
# (https://github.com/megvii-research/mdistiller/tree/master/detection), which runs
# 8 images a batch on 4 GPUs. A model comes beside it in a list of bases.
_base_ = [
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
]
_base_.train_pipeline[2] = dict(
    type='RandomChoiceResize',
    scales=[(1333, short) for short in (640, 672, 704, 736, 768, 800)],
    keep_ratio=True,
)
train_dataloader = dict(
    batch_size=2,  # x 4 GPUs = 8; on one GPU set 8
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(pipeline=_base_.train_pipeline),
)
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=180000, val_interval=10000
)
optim_wrapper = dict(optimizer=dict(lr=0.01))  # SGD 0.9, weight decay 1e-4: stock
param_scheduler = [
    # Detectron2's default warm-up, which mdistiller leaves as it is.
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=180000,
        milestones=[120000, 160000],
        gamma=0.1,
    ),
]
auto_scale_lr = dict(base_batch_size=8)  # used with --auto-scale-lr
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
