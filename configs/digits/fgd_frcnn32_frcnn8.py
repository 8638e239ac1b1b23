# FGD on the FPN: a Faster R-CNN of width 32 teaches one of width 8.
_base_ = './none_frcnn32_frcnn8.py'
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
            alpha=4e-4,
            beta=2e-4,
            gamma=3.3e-3,
            lambda_=2.6e-4,
            weight=1.0,
        )
    ),
)
