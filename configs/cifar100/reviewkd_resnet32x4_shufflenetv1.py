# From _base_/cells.py: the authors' script.
_base_ = ['_base_/resnet32x4_shufflenetv1.py', '_base_/reviewkd.py']
losses = dict(loss_reviewkd=dict(on=_base_.review, weight=dict(value=5.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
