# From _base_/cells.py: the authors' values.
_base_ = ['_base_/vgg13_vgg8.py', '_base_/sdkd.py']
on = dict(scales=[1, 2])
losses = dict(loss_sdkd=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
