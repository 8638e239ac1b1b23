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
stages = dict(student=_base_.wrn16_2_stages, teacher=_base_.wrn40_2_stages)
preacts = dict(student=_base_.wrn16_2_preacts, teacher=_base_.wrn40_2_preacts)
norms = _base_.wrn40_2_norms
review = dict(
    student=[*_base_.wrn16_2_stages, 'neck'], teacher=[*_base_.wrn40_2_preacts, 'neck']
)
published = dict(
    teacher=75.61,
    none=73.26,
    kd=74.92,
    dkd=76.23,
    luminet=76.38,
    fitnet=73.58,
    at=74.08,
    sp=73.83,
    nst=73.68,
    pkt=74.54,
    rkd=73.35,
    crd=75.48,
    dist=75.51,
    lskd=76.11,
    mlkd=76.63,
    ctkd=75.45,
    wttm=76.37,
)
