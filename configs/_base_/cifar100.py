# CIFAR-100 as RepDistiller and mdistiller train it: 240 epochs, batch 64, SGD 0.9,
# weight decay 5e-4, x0.1 after 150, 180 and 210; crops from 4 black pixels more on
# each side, flips. https://github.com/HobbitLong/RepDistiller
default_scope = 'mmpretrain'
data_preprocessor = dict(
    type='mmkd.CropFlipPreprocessor',
    mean=[129.3105, 124.1085, 112.404],  # .5071 .4867 .4408
    std=[68.2125, 65.4075, 70.4055],  # .2675 .2565 .2761
)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='mmkd.keep_batch'),
    dataset=dict(
        type='mmkd.ImageTensors',
        dataset=dict(type='mmkd.CIFAR100', data_root='data/cifar100', split='train'),
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmkd.keep_batch'),
    dataset=dict(
        type='mmkd.ImageTensors',
        dataset=dict(type='mmkd.CIFAR100', data_root='data/cifar100', split='test'),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=240, val_interval=1)
val_cfg = dict(type='mmkd.AccuracyValLoop', topk=(1, 5))
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = dict(
    type='MultiStepLR', by_epoch=True, milestones=[150, 180, 210], gamma=0.1
)
default_hooks = dict(
    runtime_info=dict(type='mmkd.BufferedInfoHook', interval=50),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    epoch_seed=dict(type='mmkd.EpochSeedHook'),
    accelerate=dict(type='mmkd.AccelerateHook'),
)
