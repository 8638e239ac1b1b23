_base_ = ['_base_/resnet56_resnet20.py', '_base_/luminet.py']
losses = dict(loss_luminet=dict(alpha=35.0, tau=4.0))  # ours
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
