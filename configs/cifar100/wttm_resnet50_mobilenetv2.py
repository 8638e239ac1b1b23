# From _base_/cells.py: the paper's tables 8 and 9.
_base_ = ['_base_/resnet50_mobilenetv2.py', '_base_/wttm.py']
losses = dict(loss_wttm=dict(gamma=0.2, weight=5.0))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
