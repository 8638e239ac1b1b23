# A classifier for kill_and_resume.py: a loss that learns, EMA, a warm-up, augmentation,
# save_best. 5 epochs of 5 iterations.
custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)
default_scope = 'mmpretrain'


def _network(widths):
    return dict(
        type='ImageClassifier',
        backbone=dict(type='mmkd.CIFARResNet', depth=8, widths=widths),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=widths[-1]),
        data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[64.0] * 3),
    )


model = dict(
    type='mmkd.Distiller',
    student=_network([4, 4, 8, 16]),
    teacher=dict(config=_network([8, 8, 16, 32]), allow_untrained=True),
    losses=dict(
        loss_fit=dict(
            type='FitNetLoss',
            on='backbone.layer2',
            weight=dict(value=1.0, warmup_epochs=3),
        ),
        loss_kd=dict(
            type='KDLoss',
            on='logits',
            tau=4.0,
            weight=dict(value=1.0, warmup_iters=12),
        ),
    ),
    probe_size=32,
)
_images = dict(type='mmkd.DigitImages', split='train', indices=320)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _images,
        pipeline=[
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _images, split='test', indices=200, pipeline=[dict(type='PackInputs')]
    ),
)
val_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=1)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=7),
    dict(type='MultiStepLR', milestones=[3], gamma=0.1),
]
default_hooks = dict(
    runtime_info=dict(type='mmkd.BufferedInfoHook', interval=2),
    logger=dict(type='LoggerHook', interval=2),
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='accuracy/top1'
    ),
)
custom_hooks = [dict(type='EMAHook', ema_type='MomentumAnnealingEMA')]
randomness = dict(seed=0)
