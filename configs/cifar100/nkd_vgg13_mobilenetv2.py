# From _base_/cells.py.
_base_ = ['_base_/vgg13_mobilenetv2.py', '_base_/nkd.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
