# From _base_/cells.py.
_base_ = ['_base_/resnet32x4_shufflenetv2.py', '_base_/nkd.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
