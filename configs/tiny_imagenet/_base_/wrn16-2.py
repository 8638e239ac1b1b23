_base_ = ['linear_32.py', '../../cifar100/_base_/networks/wrn16-2.py']
model = dict(
    backbone=dict(config=dict(default_scope='mmpretrain', model=_base_.wrn16_2)),
    head=dict(in_channels=128),
)
