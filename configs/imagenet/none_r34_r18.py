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
