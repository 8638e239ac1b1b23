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
stages = dict(student=_base_.resnet8x4_stages, teacher=_base_.resnet32x4_stages)
preacts = dict(student=_base_.resnet8x4_preacts, teacher=_base_.resnet32x4_preacts)
norms = _base_.resnet32x4_norms
review = dict(
    student=[*_base_.resnet8x4_stages, 'neck'],
    teacher=[*_base_.resnet32x4_preacts, 'neck'],
)
published = dict(
    teacher=79.42,
    none=72.50,
    kd=73.33,
    dkd=76.32,
    luminet=77.50,
    fitnet=73.50,
    at=73.44,
    sp=72.94,
    nst=73.30,
    pkt=73.64,
    rkd=71.90,
    crd=75.51,
    ofd=74.95,
    reviewkd=75.63,
    dist=76.31,
    lskd=76.62,
    mlkd=77.08,
    ctkd=73.39,
    wttm=76.06,
    wsld=76.05,
)
