# From _base_/cells.py.
_base_ = '_base_/vgg13_vgg8.py'
model = _base_.student
