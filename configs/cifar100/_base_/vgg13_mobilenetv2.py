_base_ = [
    '../../_base_/cifar100.py',
    'networks/vgg13.py',
    'networks/mobilenetv2.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.mobilenetv2
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.vgg13,
    ),
    checkpoint='checkpoints/cifar100/vgg13.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=74.64, none=64.60, kd=67.37, dkd=69.71, luminet=70.50)
