# LumiNet: ResNet-50 teaches MobileNetV1; values of the authors' released config.
_base_ = './none_r50_mv1.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(loss_luminet=dict(type='LumiNetLoss', on='logits', tau=0.7, alpha=2.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
