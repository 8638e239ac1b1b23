# From _base_/cells.py: scales by the paper's rule, no authors' run is listed (mmkd).
_base_ = ['_base_/wrn40-2_wrn40-1.py', '_base_/sdkd.py']
on = dict(scales=[1, 2])
losses = dict(loss_sdkd=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
