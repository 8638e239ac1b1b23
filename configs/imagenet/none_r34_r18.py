# ResNet-18 alone, on the recipe of *_r34_r18.py: mmpretrain's 100 epochs, SGD 0.9,
# weight decay 1e-4, x0.1 after 30, 60 and 90, at twice the batch and rate, as in
# https://github.com/ismail31416/LumiNet and mdistiller.
_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
train_dataloader = dict(batch_size=64)  # x 8 GPUs = 512
val_dataloader = dict(batch_size=64)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.2))
auto_scale_lr = dict(base_batch_size=512)  # used with --auto-scale-lr
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
# Who teaches in *_r34_r18.py.
teacher = dict(
    config='mmpretrain::resnet/resnet34_8xb32_in1k.py',
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet34_8xb32_in1k_20210831-f257d4e6.pth',
)
published = dict(
    kd=71.03, dkd=71.70, nkd=71.96, dist=72.07, crd=71.17, reviewkd=71.61, luminet=72.16
)
published.update(sdkd=71.44, sddkd=72.02)
