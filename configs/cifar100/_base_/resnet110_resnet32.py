_base_ = '../../_base_/cifar100.py'
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=32),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=64,
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
            backbone=dict(type='mmkd.CIFARResNet', depth=110),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead',
                in_channels=64,
                num_classes=100,
                init_cfg=None,
                loss=dict(type='CrossEntropyLoss'),
            ),
        ),
    ),
    checkpoint='checkpoints/cifar100/resnet110.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=74.31, none=71.14, kd=73.08, dkd=74.11, luminet=74.20)
