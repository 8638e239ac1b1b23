_base_ = [
    '../../_base_/cifar100.py',
    'networks/vgg13.py',
    'networks/vgg8.py',
]
student = _base_.vgg8
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.vgg13,
    ),
    checkpoint='checkpoints/cifar100/vgg13.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=74.64, none=70.36, kd=72.98, dkd=74.68, luminet=74.94)
