_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet32x4.py',
    'networks/shufflenetv1.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
student = _base_.shufflenetv1
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=_base_.data_preprocessor,
        model=_base_.resnet32x4,
    ),
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
stages = dict(student=_base_.shufflenetv1_stages, teacher=_base_.resnet32x4_stages)
preacts = dict(student=_base_.shufflenetv1_preacts, teacher=_base_.resnet32x4_preacts)
norms = _base_.resnet32x4_norms
review = dict(
    student=[*_base_.shufflenetv1_stages, 'neck'],
    teacher=[*_base_.resnet32x4_preacts, 'neck'],
)
published = dict(
    teacher=79.42,
    none=70.50,
    kd=74.07,
    dkd=76.45,
    luminet=76.66,
    fitnet=73.59,
    at=71.73,
    sp=73.48,
    nst=74.12,
    pkt=74.10,
    rkd=72.28,
    crd=75.11,
    ofd=75.98,
    reviewkd=77.45,
    dist=76.34,
    wttm=74.37,
    sdkd=76.30,
    sddkd=77.30,
)
