_base_ = '../../_base_/cifar100.py'
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARResNet', depth=8, widths=(32, 64, 128, 256)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=256,
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
            backbone=dict(type='mmkd.CIFARResNet', depth=32, widths=(32, 64, 128, 256)),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead',
                in_channels=256,
                num_classes=100,
                init_cfg=None,
                loss=dict(type='CrossEntropyLoss'),
            ),
        ),
    ),
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=79.42, none=72.50, kd=73.33, dkd=76.32, luminet=77.50)
