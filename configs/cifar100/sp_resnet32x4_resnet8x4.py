# From _base_/cells.py.
_base_ = ['_base_/resnet32x4_resnet8x4.py', '_base_/sp.py']
on = dict(student=_base_.stages.student[-1], teacher=_base_.stages.teacher[-1])
losses = dict(loss_sp=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
