# From _base_/cells.py.
_base_ = ['_base_/resnet56_resnet20.py', '_base_/nst.py']
losses = dict(loss_nst=dict(on=_base_.stages))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
