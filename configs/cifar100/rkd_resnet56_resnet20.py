# From _base_/cells.py.
_base_ = ['_base_/resnet56_resnet20.py', '_base_/rkd.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
