# From _base_/cells.py: the authors' configs.
_base_ = ['_base_/resnet56_resnet20.py', '_base_/dkd.py']
losses = dict(loss_dkd=dict(beta=2.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
