_base_ = ['_base_/resnet56_resnet20.py', '_base_/sdkd.py']
on = dict(scales=[1, 2])  # by the paper's rule: ours
losses = dict(loss_sdkd=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
