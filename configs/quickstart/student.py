# The student of configs/digits, for a shorter time and with this folder's teacher.
_base_ = '../digits/none_frcnn32_frcnn8.py'
teacher = dict(
    config='configs/quickstart/teacher.py',
    checkpoint='work_dirs/quickstart/teacher/iter_1600.pth',
)
train_cfg = dict(max_iters=400, val_interval=100)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 400
