# The teacher of configs/digits, for a shorter time.
_base_ = '../digits/teacher_frcnn32.py'
train_cfg = dict(max_iters=1600, val_interval=400)
