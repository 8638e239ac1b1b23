# From _base_/cells.py.
_base_ = '_base_/wrn40-2_wrn40-1.py'
model = _base_.student
