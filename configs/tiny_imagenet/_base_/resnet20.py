_base_ = ['linear_32.py', '../../cifar100/_base_/networks/resnet20.py']
model = dict(
    backbone=dict(config=dict(default_scope='mmpretrain', model=_base_.resnet20)),
    head=dict(in_channels=64),
)
