# The teacher: a RetinaNet of width 32, trained on all scenes.
_base_ = ['./_base_/retinanet.py', './_base_/digits.py']
train_cfg = dict(max_iters=3000, val_interval=1000)
