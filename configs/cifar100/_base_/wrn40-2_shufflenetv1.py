_base_ = '../../_base_/cifar100.py'
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARShuffleNetV1'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=960,
        num_classes=100,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='mmkd.CIFARWideResNet', depth=40, widen_factor=2),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead',
                in_channels=128,
                num_classes=100,
                init_cfg=None,
                loss=dict(type='CrossEntropyLoss'),
            ),
        ),
    ),
    checkpoint='checkpoints/cifar100/wrn40-2.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=75.61, none=70.50, kd=74.83, dkd=76.70, luminet=76.95)
