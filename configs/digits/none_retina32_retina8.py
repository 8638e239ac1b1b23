# The student alone: a RetinaNet of width 8, trained on the first 150 scenes of its
# teacher.
_base_ = ['./_base_/retinanet.py', './_base_/digits.py']
model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=[8, 16, 32]))
teacher = dict(
    config='configs/digits/teacher_retina32.py',
    checkpoint='work_dirs/digits/teacher_retina32/iter_3000.pth',
)
