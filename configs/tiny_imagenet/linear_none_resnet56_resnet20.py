_base_ = '_base_/resnet20.py'
model = dict(
    backbone=dict(checkpoint='work_dirs/none_resnet56_resnet20/epoch_240.pth'),
)
