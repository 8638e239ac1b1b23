_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet110.py',
    'networks/resnet32.py',
]
student = _base_.resnet32
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet110,
    ),
    checkpoint='checkpoints/cifar100/resnet110.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
stages = dict(student=_base_.resnet32_stages, teacher=_base_.resnet110_stages)
preacts = dict(student=_base_.resnet32_preacts, teacher=_base_.resnet110_preacts)
norms = _base_.resnet110_norms
review = dict(
    student=[*_base_.resnet32_stages, 'neck'],
    teacher=[*_base_.resnet110_preacts, 'neck'],
)
published = dict(
    teacher=74.31,
    none=71.14,
    kd=73.08,
    dkd=74.11,
    luminet=74.20,
    fitnet=71.06,
    at=72.31,
    sp=72.69,
    nst=71.96,
    pkt=72.61,
    rkd=71.82,
    crd=73.48,
    dist=73.69,
    lskd=74.17,
    mlkd=74.11,
    ctkd=73.52,
    wttm=74.13,
    wsld=74.12,
)
