_base_ = '../../_base_/cifar100.py'
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARWideResNet', depth=16, widen_factor=2),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=128,
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
published = dict(teacher=75.61, none=73.26, kd=74.92, dkd=76.23, luminet=76.38)
