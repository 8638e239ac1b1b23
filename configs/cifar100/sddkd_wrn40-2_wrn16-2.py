# From _base_/cells.py: scales by the paper's rule, no authors' run is listed (mmkd).
_base_ = ['_base_/wrn40-2_wrn16-2.py', '_base_/sddkd.py']
on = dict(scales=[1, 2])
losses = dict(loss_sddkd=dict(on=on, loss=dict(beta=6.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
