# From _base_/cells.py: a public fork's values, taken for the authors'.
_base_ = ['_base_/resnet56_resnet20.py', '_base_/unikd.py']
levels = [*_base_.review.student, 'head']
on = dict(student=levels, teacher=[_base_.preacts.teacher[0], 'head'])
losses = dict(loss_dkd=dict(beta=2.0), loss_unikd=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
