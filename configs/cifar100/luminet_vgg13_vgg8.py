# From _base_/cells.py: the authors' values.
_base_ = ['_base_/vgg13_vgg8.py', '_base_/luminet.py']
losses = dict(loss_luminet=dict(alpha=70.0, tau=8.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
