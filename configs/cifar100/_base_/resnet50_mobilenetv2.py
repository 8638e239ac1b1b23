_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet50.py',
    'networks/mobilenetv2.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.mobilenetv2
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet50,
    ),
    checkpoint='checkpoints/cifar100/resnet50.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
published = dict(teacher=79.34, none=64.60, kd=67.35, dkd=70.35, luminet=70.97)
