# The student alone: a Faster R-CNN of width 8, trained on the first 150 scenes of its
# teacher.
_base_ = ['./_base_/faster_rcnn.py', './_base_/digits.py']
model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=[8, 16, 32]))
teacher = dict(
    config='configs/digits/teacher_frcnn32.py',
    checkpoint='work_dirs/digits/teacher_frcnn32/iter_3000.pth',
)
