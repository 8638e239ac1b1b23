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
stages = dict(student=_base_.vgg8_stages, teacher=_base_.vgg13_stages)
preacts = dict(student=_base_.vgg8_preacts, teacher=_base_.vgg13_preacts)
norms = _base_.vgg13_norms
review = dict(
    student=[*_base_.vgg8_stages, 'neck'], teacher=[*_base_.vgg13_preacts, 'neck']
)
published = dict(
    teacher=74.64,
    none=70.36,
    kd=72.98,
    dkd=74.68,
    luminet=74.94,
    fitnet=71.02,
    at=71.43,
    sp=72.68,
    nst=71.53,
    pkt=72.88,
    rkd=71.48,
    crd=73.94,
    dist=73.89,
    lskd=74.36,
    mlkd=75.18,
    ctkd=73.52,
    wttm=74.44,
)
