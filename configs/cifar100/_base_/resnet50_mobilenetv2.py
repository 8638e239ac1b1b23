_base_ = '../../_base_/cifar100.py'
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = dict(
    type='ImageClassifier',
    backbone=dict(type='mmkd.CIFARMobileNetV2', widen_factor=0.5),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=1280,
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
            backbone=dict(type='mmkd.CIFARBottleneckResNet', depth=50),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead',
                in_channels=2048,
                num_classes=100,
                init_cfg=None,
                loss=dict(type='CrossEntropyLoss'),
            ),
        ),
    ),
    checkpoint='checkpoints/cifar100/resnet50.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=79.34, none=64.60, kd=67.35, dkd=70.35, luminet=70.97)
