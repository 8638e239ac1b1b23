# From _base_/cells.py: the authors' script.
_base_ = ['_base_/wrn40-2_wrn40-1.py', '_base_/reviewkd.py']
losses = dict(loss_reviewkd=dict(on=_base_.review, weight=dict(value=5.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
