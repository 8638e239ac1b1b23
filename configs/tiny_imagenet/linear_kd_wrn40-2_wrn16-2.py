_base_ = '_base_/wrn16-2.py'
model = dict(
    backbone=dict(checkpoint='work_dirs/kd_wrn40-2_wrn16-2/epoch_240.pth'),
)
