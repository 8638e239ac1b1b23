_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet32x4.py',
    'networks/shufflenetv2.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.shufflenetv2
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet32x4,
    ),
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
stages = dict(student=_base_.shufflenetv2_stages, teacher=_base_.resnet32x4_stages)
preacts = dict(student=_base_.shufflenetv2_preacts, teacher=_base_.resnet32x4_preacts)
norms = _base_.resnet32x4_norms
review = dict(
    student=[*_base_.shufflenetv2_stages, 'neck'],
    teacher=[*_base_.resnet32x4_preacts, 'neck'],
)
published = dict(
    teacher=79.42,
    none=71.82,
    kd=74.45,
    dkd=77.07,
    luminet=77.55,
    fitnet=73.54,
    at=72.73,
    sp=74.56,
    nst=74.68,
    pkt=74.69,
    rkd=73.21,
    crd=75.65,
    ofd=76.82,
    reviewkd=77.78,
    dist=77.35,
    lskd=75.56,
    mlkd=78.44,
    ctkd=75.37,
    wttm=76.55,
    sdkd=76.67,
    sddkd=78.05,
)
