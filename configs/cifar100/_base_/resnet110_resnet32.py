_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet110.py',
    'networks/resnet32.py',
]
student = _base_.resnet32
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet110,
    ),
    checkpoint='checkpoints/cifar100/resnet110.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=74.31, none=71.14, kd=73.08, dkd=74.11, luminet=74.20)
