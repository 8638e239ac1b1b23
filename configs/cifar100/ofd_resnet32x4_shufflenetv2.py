# From _base_/cells.py.
_base_ = ['_base_/resnet32x4_shufflenetv2.py', '_base_/ofd.py']
on = dict(_base_.preacts, adapter=dict(type='ConvNormAdapter'))
losses = dict(loss_ofd=dict(on=on, norms=_base_.norms))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
