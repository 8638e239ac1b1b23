# UniKD: ResNet-34 teaches ResNet-18. Values of a public fork taken for the authors'.
# Stages are compared after activation (mmkd): stock networks have no module that puts
# out what is before it.
_base_ = './none_r34_r18.py'
levels = [*(f'backbone.layer{n}' for n in (1, 2, 3, 4)), 'neck', 'head']
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_dkd=dict(
            type='DKDLoss',
            on='logits',
            beta=0.5,
            tau=1.0,
            weight=dict(value=1.0, warmup_epochs=1),
        ),
        loss_unikd=dict(
            type='UniKDLoss',
            on=dict(student=levels, teacher=['backbone.layer1', 'head']),
        ),
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
