# The teacher: a Faster R-CNN of width 32, trained on all scenes.
_base_ = ['./_base_/faster_rcnn.py', './_base_/digits.py']
train_cfg = dict(max_iters=3000, val_interval=1000)
