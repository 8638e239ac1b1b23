# From _base_/cells.py.
_base_ = ['_base_/resnet32x4_shufflenetv1.py', '_base_/wsld.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
