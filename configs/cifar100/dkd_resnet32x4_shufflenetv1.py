# From _base_/cells.py: the authors' configs.
_base_ = ['_base_/resnet32x4_shufflenetv1.py', '_base_/dkd.py']
losses = dict(loss_dkd=dict(beta=8.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
