# From _base_/cells.py.
_base_ = '_base_/resnet110_resnet32.py'
model = _base_.student
