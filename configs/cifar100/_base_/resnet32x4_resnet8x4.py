_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet32x4.py',
    'networks/resnet8x4.py',
]
student = _base_.resnet8x4
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet32x4,
    ),
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=79.42, none=72.50, kd=73.33, dkd=76.32, luminet=77.50)
