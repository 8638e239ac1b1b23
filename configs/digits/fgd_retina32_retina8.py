# FGD on the FPN: a RetinaNet of width 32 teaches one of width 8.
_base_ = './none_retina32_retina8.py'
student = _base_.model
on = [f'neck.fpn_convs.{i}.conv' for i in range(3)]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_fgd=dict(
            type='FGDLoss',
            on=on,
            alpha=8e-3,
            beta=4e-3,
            gamma=8e-3,
            lambda_=6.6e-4,
            weight=1.0,
        )
    ),
)
