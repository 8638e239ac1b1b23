# The student again, taught by the teacher.
_base_ = './student.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_luminet=dict(
            type='LumiNetLoss',
            on='roi.logits',
            tau=1.0,
            alpha=4.0,
            weight=dict(value=1.0, warmup_iters=100),
        )
    ),
)
