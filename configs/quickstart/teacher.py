# The teacher of configs/digits, for a shorter time.
_base_ = '../digits/teacher_frcnn32.py'
train_cfg = dict(max_iters=1600, val_interval=400)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 1600
