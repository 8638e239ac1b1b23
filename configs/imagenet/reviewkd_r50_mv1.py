# ReviewKD: ResNet-50 teaches MobileNetV1; the authors' weight. Stages are compared
# after their activation (mmkd): stock networks have no module that puts out what is
# before it.
_base_ = './none_r50_mv1.py'
levels = [*(f'backbone.layer{n}' for n in (1, 2, 3, 4)), 'neck']
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_reviewkd=dict(type='ReviewKDLoss', on=levels, mid_channels=256, weight=8.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
