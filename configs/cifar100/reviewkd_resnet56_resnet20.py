# From _base_/cells.py: the authors' script.
_base_ = ['_base_/resnet56_resnet20.py', '_base_/reviewkd.py']
losses = dict(loss_reviewkd=dict(on=_base_.review, weight=dict(value=0.6)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
