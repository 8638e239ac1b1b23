# The student, taught by the loss, the pairing and the family in this folder.
_base_ = './student.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=dict(
        config='projects/keypoints/teacher.py',
        checkpoint='work_dirs/keypoints/teacher/epoch_8.pth',
    ),
    losses=dict(
        loss_place=dict(type='PlaceLoss', on='keypoints.maps', weight=0.5),
        loss_body=dict(type='FitNetLoss', on='body', weight=0.1),
    ),
)
