_base_ = [
    '../../_base_/cifar100.py',
    'networks/resnet56.py',
    'networks/resnet20.py',
]
student = _base_.resnet20
teacher = dict(
    config=dict(
        default_scope='mmpretrain',
        data_preprocessor=dict(
            type='mmkd.CropFlipPreprocessor',
            # What cifar100_resnet56-f2eff4c8.pt was trained with, .5070 .4865 .4409 and
            # .2673 .2564 .2761: https://github.com/chenyaofo/pytorch-cifar-models
            mean=[129.285, 124.0575, 112.4295],
            std=[68.1615, 65.382, 70.4055],
        ),
        model=_base_.resnet56,
    ),
    checkpoint='checkpoints/cifar100/resnet56.pth',
    inference=dict(fold_bn=True, channels_last=True),
)
stages = dict(student=_base_.resnet20_stages, teacher=_base_.resnet56_stages)
preacts = dict(student=_base_.resnet20_preacts, teacher=_base_.resnet56_preacts)
norms = _base_.resnet56_norms
review = dict(
    student=[*_base_.resnet20_stages, 'neck'],
    teacher=[*_base_.resnet56_preacts, 'neck'],
)
published = dict(
    teacher=72.34,
    none=69.06,
    kd=70.66,
    dkd=71.97,
    luminet=72.29,
    fitnet=69.21,
    at=70.55,
    sp=69.67,
    nst=69.60,
    pkt=70.34,
    rkd=69.61,
    crd=71.16,
    ofd=70.98,
    reviewkd=71.89,
    dist=71.75,
    lskd=71.43,
    mlkd=72.19,
    ctkd=71.19,
    wttm=71.92,
    wsld=72.15,
)
