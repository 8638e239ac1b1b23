# From _base_/cells.py: nothing is published for this pair (mmkd).
_base_ = ['_base_/resnet32x4_shufflenetv1.py', '_base_/lskd.py']
losses = dict(loss_lskd=dict(loss=dict(tau=2.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
