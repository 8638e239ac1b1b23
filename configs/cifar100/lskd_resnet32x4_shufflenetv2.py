# From _base_/cells.py: the authors' values.
_base_ = ['_base_/resnet32x4_shufflenetv2.py', '_base_/lskd.py']
losses = dict(loss_lskd=dict(loss=dict(tau=2.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
