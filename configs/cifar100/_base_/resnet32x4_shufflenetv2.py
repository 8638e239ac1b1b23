_base_ = '../../_base_/cifar100.py'
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARShuffleNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=1024,
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
published = dict(teacher=79.42, none=71.82, kd=74.45, dkd=77.07, luminet=77.55)
