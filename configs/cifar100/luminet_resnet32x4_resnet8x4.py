# From _base_/cells.py: the authors' values.
_base_ = ['_base_/resnet32x4_resnet8x4.py', '_base_/luminet.py']
_base_.student.head.loss.loss_weight = 2.0
losses = dict(loss_luminet=dict(alpha=33.0, tau=4.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
