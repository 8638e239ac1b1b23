# From _base_/cells.py: nothing is published for this pair (mmkd).
_base_ = ['_base_/vgg13_mobilenetv2.py', '_base_/reviewkd.py']
losses = dict(loss_reviewkd=dict(on=_base_.review, weight=dict(value=5.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
