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
stages = dict(student=_base_.mobilenetv2_stages, teacher=_base_.vgg13_stages)
preacts = dict(student=_base_.mobilenetv2_preacts, teacher=_base_.vgg13_preacts)
norms = _base_.vgg13_norms
review = dict(
    student=[*_base_.mobilenetv2_stages, 'neck'],
    teacher=[*_base_.vgg13_preacts, 'neck'],
)
published = dict(
    teacher=74.64,
    none=64.60,
    kd=67.37,
    dkd=69.71,
    luminet=70.50,
    fitnet=64.14,
    at=59.40,
    sp=66.30,
    nst=58.16,
    pkt=67.13,
    rkd=64.52,
    crd=69.73,
    dist=68.50,
    lskd=68.61,
    mlkd=70.57,
    ctkd=68.50,
    wttm=69.16,
)
