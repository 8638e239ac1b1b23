# From _base_/cells.py.
_base_ = ['_base_/resnet32x4_shufflenetv2.py', '_base_/dist.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
