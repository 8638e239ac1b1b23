# A linear classifier on a frozen CIFAR-100 student, trained on Tiny ImageNet at 32
# pixels. SGD 0.9, weight decay 0, batch 64, rate 0.1, 100 epochs, x0.1 after 30, 60 and
# 90: https://github.com/winycg/HSAKD, but for its Nesterov momentum and
# RandomResizedCrop. Crops from 4 black pixels more on each side and flips:
# https://github.com/giakoumoglou/distillers. The student's own input statistics:
# (mmkd).
default_scope = 'mmpretrain'
data_preprocessor = dict(
    mean=[129.3105, 124.1085, 112.404],  # .5071 .4867 .4408
    std=[68.2125, 65.4075, 70.4055],  # .2675 .2565 .2761
    to_rgb=True,
)
# A truncated JPEG is an error, where OpenCV fills it up with grey.
load = [
    dict(type='mmkd.LoadImage'),
    dict(type='Resize', scale=(32, 32), backend='pillow'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmkd.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='train',
        pipeline=[
            *load,
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmkd.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='val',
        pipeline=[*load, dict(type='PackInputs')],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.FrozenBackbone'),
    head=dict(type='LinearClsHead', num_classes=200),
)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(
    type='MultiStepLR', by_epoch=True, milestones=[30, 60, 90], gamma=0.1
)
auto_scale_lr = dict(base_batch_size=64)  # used with --auto-scale-lr
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=100),
    checkpoint=dict(type='CheckpointHook', interval=10, max_keep_ckpts=2),
)
