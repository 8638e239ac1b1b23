# From _base_/cells.py: the authors' configs.
_base_ = ['_base_/vgg13_mobilenetv2.py', '_base_/dkd.py']
losses = dict(loss_dkd=dict(beta=6.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
