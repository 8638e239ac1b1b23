# ReviewKD: ResNet-34 teaches ResNet-18; the authors' weight. Stages are compared
# after their activation (mmkd): stock networks have no module that puts out what is
# before it.
_base_ = './none_r34_r18.py'
levels = [*(f'backbone.layer{n}' for n in (1, 2, 3, 4)), 'neck']
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(loss_reviewkd=dict(type='ReviewKDLoss', on=levels, weight=1.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
