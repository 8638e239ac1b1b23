# From _base_/cells.py: the authors' values.
_base_ = ['_base_/wrn40-2_shufflenetv1.py', '_base_/sdkd.py']
on = dict(scales=[1, 2, 4])
losses = dict(loss_sdkd=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
