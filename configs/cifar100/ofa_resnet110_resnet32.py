# From _base_/cells.py: the wider of both networks' pooled features (mmkd).
_base_ = ['_base_/resnet110_resnet32.py', '_base_/ofa.py']
adapter = dict(type='StageClassifierAdapter', width=64)
on = dict(pairing='logits', modules=_base_.stages.student, adapter=adapter)
losses = dict(loss_ofa_stages=dict(on=on))
model = dict(student=_base_.student, teacher=_base_.teacher, losses=losses)
