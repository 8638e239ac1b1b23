_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet32x4.py',
    'networks/shufflenetv1.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.shufflenetv1
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet32x4,
    ),
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=79.42, none=70.50, kd=74.07, dkd=76.45, luminet=76.66)
