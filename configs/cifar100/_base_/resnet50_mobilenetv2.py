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
stages = dict(student=_base_.mobilenetv2_stages, teacher=_base_.resnet50_stages)
preacts = dict(student=_base_.mobilenetv2_preacts, teacher=_base_.resnet50_preacts)
norms = _base_.resnet50_norms
review = dict(
    student=[*_base_.mobilenetv2_stages, 'neck'],
    teacher=[*_base_.resnet50_preacts, 'neck'],
)
published = dict(
    teacher=79.34,
    none=64.60,
    kd=67.35,
    dkd=70.35,
    luminet=70.97,
    fitnet=63.16,
    at=58.58,
    sp=68.08,
    nst=64.96,
    pkt=66.52,
    rkd=64.43,
    crd=69.11,
    ofd=69.04,
    reviewkd=69.89,
    dist=68.66,
    lskd=69.02,
    mlkd=71.04,
    ctkd=68.67,
    wttm=69.59,
    sdkd=69.55,
    sddkd=71.36,
)
