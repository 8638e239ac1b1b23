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
stages = dict(student=_base_.wrn40_1_stages, teacher=_base_.wrn40_2_stages)
preacts = dict(student=_base_.wrn40_1_preacts, teacher=_base_.wrn40_2_preacts)
norms = _base_.wrn40_2_norms
review = dict(
    student=[*_base_.wrn40_1_stages, 'neck'], teacher=[*_base_.wrn40_2_preacts, 'neck']
)
published = dict(
    teacher=75.61,
    none=71.98,
    kd=73.54,
    dkd=74.81,
    luminet=75.12,
    fitnet=72.24,
    at=72.77,
    sp=72.43,
    nst=72.24,
    pkt=73.45,
    rkd=72.22,
    crd=74.14,
    ofd=74.33,
    reviewkd=75.09,
    dist=74.73,
    lskd=74.37,
    mlkd=75.35,
    ctkd=73.93,
    wttm=74.58,
)
