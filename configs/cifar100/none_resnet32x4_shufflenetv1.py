# From _base_/cells.py.
_base_ = '_base_/resnet32x4_shufflenetv1.py'
model = _base_.student
