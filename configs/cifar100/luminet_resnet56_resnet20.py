# From _base_/cells.py: nothing is published for this pair (mmkd).
_base_ = ['_base_/resnet56_resnet20.py', '_base_/luminet.py']
losses = dict(loss_luminet=dict(alpha=35.0, tau=4.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
