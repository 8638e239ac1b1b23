# SD-DKD: ResNet-34 teaches ResNet-18; the authors' values, with one epoch of warm-up.
# The grids are the paper's rule for networks of one family (mmkd).
_base_ = './none_r34_r18.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_sddkd=dict(
            type='SDDLoss',
            on=dict(pairing='cells.logits', scales=[1, 2]),
            loss=dict(type='DKDLoss', alpha=1.0, beta=0.5, tau=1.0),
            beta=2.0,
            weight=dict(value=1.0, warmup_epochs=1),
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
