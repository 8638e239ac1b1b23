_base_ = '../../_base_/cifar100.py'
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=20),
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
            backbone=dict(type='mmkd.CIFARResNet', depth=56),
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
    checkpoint='checkpoints/cifar100/resnet56.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=72.34, none=69.06, kd=70.66, dkd=71.97, luminet=72.29)
