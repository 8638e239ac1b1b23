_base_ = [
    '../../_base_/cifar100.py',
    'networks/wrn40-2.py',
    'networks/shufflenetv1.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.shufflenetv1
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.wrn40_2,
    ),
    checkpoint='checkpoints/cifar100/wrn40-2.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
stages = dict(student=_base_.shufflenetv1_stages, teacher=_base_.wrn40_2_stages)
preacts = dict(student=_base_.shufflenetv1_preacts, teacher=_base_.wrn40_2_preacts)
norms = _base_.wrn40_2_norms
review = dict(
    student=[*_base_.shufflenetv1_stages, 'neck'],
    teacher=[*_base_.wrn40_2_preacts, 'neck'],
)
published = dict(
    teacher=75.61,
    none=70.50,
    kd=74.83,
    dkd=76.70,
    luminet=76.95,
    fitnet=73.73,
    at=73.32,
    sp=74.52,
    nst=74.89,
    pkt=73.89,
    rkd=72.21,
    crd=76.05,
    dist=76.40,
    wttm=75.42,
)
