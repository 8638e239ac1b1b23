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
published = dict(teacher=74.64, none=64.60, kd=67.37, dkd=69.71, luminet=70.50)
