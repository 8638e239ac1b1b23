# From _base_/cells.py.
_base_ = ['_base_/vgg13_vgg8.py', '_base_/ctkd.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
