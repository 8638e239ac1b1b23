# From _base_/cells.py.
_base_ = ['_base_/wrn40-2_wrn16-2.py', '_base_/lakd.py']
losses = dict(loss_lakd=dict(on=_base_.stages))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
