_base_ = ['_base_/wrn40-2_wrn40-1.py', '_base_/sddkd.py']
on = dict(scales=[1, 2])  # by the paper's rule: ours
losses = dict(loss_sddkd=dict(on=on, loss=dict(beta=6.0)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
