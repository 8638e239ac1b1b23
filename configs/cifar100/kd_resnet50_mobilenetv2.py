# From _base_/cells.py.
_base_ = ['_base_/resnet50_mobilenetv2.py', '_base_/kd.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
