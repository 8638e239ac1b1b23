# NKD: ResNet-50 teaches MobileNetV1; the authors' values, without
# their gradient clipping.
_base_ = './none_r50_mv1.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(loss_nkd=dict(type='NKDLoss', on='logits', gamma=1.5, tau=1.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
