# From _base_/cells.py: the stages are of one size.
_base_ = ['_base_/wrn40-2_wrn16-2.py', '_base_/fitnet.py']
hint = dict(student=_base_.stages.student[1], teacher=_base_.stages.teacher[1])
adapter = dict(type='ConvNormAdapter', relu=True)
losses = dict(loss_fitnet=dict(on=dict(hint, adapter=adapter)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
