# From _base_/cells.py.
_base_ = ['_base_/resnet32x4_resnet8x4.py', '_base_/pkt.py']
model = dict(student=_base_.student, teacher=_base_.teacher)
