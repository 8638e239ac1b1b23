# From _base_/cells.py: the student's stage is half as large as the teacher's.
_base_ = ['_base_/resnet32x4_shufflenetv2.py', '_base_/fitnet.py']
hint = dict(student=_base_.stages.student[1], teacher=_base_.stages.teacher[1])
adapter = dict(type='ConvNormAdapter', relu=True)
adapter.update(upscale=2)
losses = dict(loss_fitnet=dict(on=dict(hint, adapter=adapter)))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
