# AEKT: ResNet-34 teaches ResNet-18; neither formula nor values are at hand, these are
# (mmkd).
_base_ = './none_r34_r18.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_aekt=dict(
            type='AEKTLoss',
            on='logits',
            tau=1.0,
            explicit_weight=0.1,
            implicit_weight=0.5,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
