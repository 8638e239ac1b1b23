# From _base_/cells.py.
_base_ = '_base_/resnet56_resnet20.py'
model = _base_.student
