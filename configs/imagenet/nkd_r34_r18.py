# NKD: ResNet-34 teaches ResNet-18; the authors' values.
_base_ = './none_r34_r18.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(loss_nkd=dict(type='NKDLoss', on='logits', gamma=1.5, tau=1.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
