_base_ = [
    '../../_base_/cifar100.py',
    'networks/wrn40-2.py',
    'networks/wrn16-2.py',
]
student = _base_.wrn16_2
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.wrn40_2,
    ),
    checkpoint='checkpoints/cifar100/wrn40-2.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=75.61, none=73.26, kd=74.92, dkd=76.23, luminet=76.38)
