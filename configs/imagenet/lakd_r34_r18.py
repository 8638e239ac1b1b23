# LAKD: ResNet-34 teaches ResNet-18; neither code nor values are published, these are
# (mmkd). Parts end behind the stages.
_base_ = './none_r34_r18.py'
student = _base_.model
student.head.loss.loss_weight = 0.9
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_lakd=dict(
            type='LAKDLoss',
            on=[f'backbone.layer{n}' for n in (1, 2, 3, 4)],
            attention_weight=0.1,
            local_weight=10.0,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
