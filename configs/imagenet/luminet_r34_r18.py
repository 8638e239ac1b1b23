# LumiNet: ResNet-34 teaches ResNet-18; values of the authors' released config.
_base_ = './none_r34_r18.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(loss_luminet=dict(type='LumiNetLoss', on='logits', tau=0.7, alpha=2.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
