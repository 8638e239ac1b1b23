# The student again, taught by the teacher.
_base_ = './student.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_kd=dict(type='KDLoss', on='roi.logits', tau=1.0, weight=1.0)  # (mmkd)
    ),
)
