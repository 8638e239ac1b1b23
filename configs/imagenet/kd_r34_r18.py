# KD: ResNet-34 teaches ResNet-18; mdistiller's values: half cross-entropy, half KD.
_base_ = './none_r34_r18.py'
student = _base_.model
student.head.loss.loss_weight = 0.5
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(loss_kd=dict(type='KDLoss', on='logits', tau=1.0, weight=0.5)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
