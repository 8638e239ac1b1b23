_base_ = [
    '../../_base_/cifar100.py',
    'networks/wrn40-2.py',
    'networks/wrn40-1.py',
]
student = _base_.wrn40_1
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.wrn40_2,
    ),
    checkpoint='checkpoints/cifar100/wrn40-2.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=75.61, none=71.98, kd=73.54, dkd=74.81, luminet=75.12)
