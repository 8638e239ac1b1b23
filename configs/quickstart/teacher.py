# The teacher: the schedule of _base_ with more iterations.
_base_ = ['./_base_/faster_rcnn.py', './_base_/digits.py']
train_cfg = dict(max_iters=800, val_interval=200)
param_scheduler = [
    _base_.warmup,
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=800, eta_min=2e-5),
]
