# MobileNetV1 alone, on the recipe of *_r50_mv1.py: mmpretrain's 100 epochs of 256
# images a batch, SGD 0.9, weight decay 1e-4, x0.1 after 30, 60 and 90, as LumiNet,
# CRD and ReviewKD are published.
_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
model = dict(
    backbone=dict(_delete_=True, type='mmkd.MobileNetV1'),
    head=dict(in_channels=1024),
)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
# Who teaches in *_r50_mv1.py.
teacher = dict(
    config='mmpretrain::resnet/resnet50_8xb32_in1k.py',
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
)
published = dict(
    kd=70.50, dkd=72.05, nkd=72.58, dist=73.24, crd=71.37, reviewkd=72.56, luminet=72.55
)
published.update(sdkd=72.24, sddkd=73.08)
