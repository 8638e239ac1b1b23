_base_ = '../../_base_/cifar100.py'
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARVGG', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=512,
        num_classes=100,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='mmkd.CIFARVGG', depth=13),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead',
                in_channels=512,
                num_classes=100,
                loss=dict(type='CrossEntropyLoss'),
            ),
        ),
    ),
    checkpoint='checkpoints/cifar100/vgg13.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=74.64, none=70.36, kd=72.98, dkd=74.68, luminet=74.94)
