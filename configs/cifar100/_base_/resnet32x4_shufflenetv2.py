_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet32x4.py',
    'networks/shufflenetv2.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.shufflenetv2
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet32x4,
    ),
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=79.42, none=71.82, kd=74.45, dkd=77.07, luminet=77.55)
