# From _base_/cells.py.
_base_ = ['_base_/resnet50_mobilenetv2.py', '_base_/aekt.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
