# SD-DKD: ResNet-50 teaches MobileNetV1; the authors' values, with one epoch of warm-up.
# The grids are the paper's rule for networks of two families
# (mmkd).
_base_ = './none_r50_mv1.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_sddkd=dict(
            type='SDDLoss',
            on=dict(pairing='cells.logits', scales=[1, 2, 4]),
            loss=dict(type='DKDLoss', alpha=1.0, beta=2.0, tau=1.0),
            beta=2.0,
            weight=dict(value=1.0, warmup_epochs=1),
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
