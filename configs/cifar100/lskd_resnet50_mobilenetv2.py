# From _base_/cells.py: the authors' values.
_base_ = ['_base_/resnet50_mobilenetv2.py', '_base_/lskd.py']
losses = dict(loss_lskd=dict(loss=dict(tau=3.0)))
losses['loss_lskd']['weight'] = 1.0
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
