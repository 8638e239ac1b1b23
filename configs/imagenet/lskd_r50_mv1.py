# LSKD with KD: ResNet-50 teaches MobileNetV1; the authors' values of their README.
_base_ = './none_r50_mv1.py'
student = _base_.model
student.head.loss.loss_weight = 0.1
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_lskd=dict(
            type='LSKDLoss', on='logits', loss=dict(type='KDLoss', tau=2.0), weight=9.0
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
