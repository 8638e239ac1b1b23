# CWD on the FPN: a RetinaNet of width 32 teaches one of width 8.
_base_ = './none_retina32_retina8.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(loss_cwd=dict(type='CWDLoss', on='neck', tau=1.0, weight=10.0)),
)
