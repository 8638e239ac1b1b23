# From _base_/cells.py.
_base_ = '_base_/wrn40-2_shufflenetv1.py'
model = _base_.student
